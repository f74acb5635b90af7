"""OpenAPI 3.1 from the table of operations and the very schemas that validate requests. Pure.

Source: OpenAPI 3.1.0, whose schemas are JSON Schema 2020-12, so they go in nearly as they are.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from obeaver.api.contract.operations import JSON, Operation
from obeaver.api.contract.schema_files import answer_schemas
from obeaver.api.contract.validation import request_schema
from obeaver.api.contract.wording import synonyms
from obeaver.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    ModelLoadFailed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
)

Object = dict[str, Any]

EVERYWHERE: tuple[type[ApiError], ...] = (Unauthorized, Forbidden, MethodNotAllowed, InternalError, Unavailable)
"""Errors that any path may answer."""

CODES: Mapping[type[ApiError], tuple[str, ...]] = {
    BadRequest: (
        "array_above_max_length",
        "integer_above_max_value",
        "invalid_grammar",
        "invalid_http",
        "invalid_json",
        "invalid_schema",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "not_in_background",
        "previous_response_not_found",
        "response_in_progress",
        "schema_too_large",
        "string_above_max_length",
        "tokenizer_failed",
        "unknown_value",
        "unsupported_parameter",
        "unsupported_value",
    ),
    Conflict: ("load_in_progress", "pull_in_progress"),
    Forbidden: ("host_not_allowed", "origin_not_allowed", "pull_not_allowed"),
    ModelLoadFailed: ("insufficient_memory",),
    NotFound: ("item_not_found", "model_not_found", "pull_not_found", "response_not_found"),
    PayloadTooLarge: ("too_many_values",),
    Unavailable: ("model_exchanged", "not_read", "shutting_down", "write_timeout"),
}
"""The codes that a class of errors comes with beside its own."""

_PATH_PARAM = re.compile(r"\{(\w+)(?::path)?\}")

_ANNOTATIONS = frozenset({"description", "default", "title", "example", "examples", "x-synonyms", "x-unsupported"})
_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def openapi_document(operations: Sequence[Operation], *, title: str, version: str) -> Object:
    """The description of a server."""
    paths: Object = {}
    for operation in operations:
        paths.setdefault(_PATH_PARAM.sub(r"{\1}", operation.path), {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        # Either a key or none: whether one is needed is up to whoever starts the server.
        "security": [{}, {"bearer": []}],
    }


def errors_of(operation: Operation) -> dict[int, list[str]]:
    """Status to the codes that it may come with."""
    errors: dict[int, list[str]] = {}
    for error in dict.fromkeys((*operation.errors, *EVERYWHERE)):
        own = (error.default_code,) if error.default_code else ()
        errors.setdefault(error.status, []).extend((*own, *CODES.get(error, ())))
    return dict(sorted(errors.items()))


def _operation(operation: Operation) -> Object:
    result: Object = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": {str(operation.status): _answer(operation)} | _accepted(operation) | _error_answers(operation),
    }
    parameters = _parameters(operation)
    if parameters:
        result["parameters"] = parameters
    if operation.request is not None:
        schema = _reference(request_schema(operation.request).document["title"])
        body: Object = {"schema": schema} | ({"example": json.loads(operation.example)} if operation.example else {})
        result["requestBody"] = {"required": True, "content": {JSON: body}}
    return result


def _parameters(operation: Operation) -> list[Object]:
    in_path = _PATH_PARAM.findall(operation.path)
    return [
        *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path),
        *(
            {"name": one.name, "in": "query", "description": one.description, "schema": dict(one.schema)}
            for one in operation.query
        ),
    ]


def _accepted(operation: Operation) -> Object:
    if operation.accepted is None:
        return {}
    content = {JSON: {"schema": _reference(operation.accepted)}}
    return {"202": {"description": "It goes on after this answer.", "content": content}}


def _answer(operation: Operation) -> Object:
    schema = {"type": "string"} if operation.response is None else _reference(operation.response)
    content: Object = {operation.media_type: {"schema": schema}} if operation.media_type else {}
    if operation.event is not None:
        content[operation.event_type] = {"schema": _reference(operation.event)}
    return {"description": "The answer.", "content": content}


def _error_answers(operation: Operation) -> Object:
    return {
        str(status): {
            "description": "Codes: " + ", ".join(f"`{code}`" for code in codes) + ".",
            "content": {JSON: {"schema": _reference(operation.error)}},
        }
        for status, codes in errors_of(operation).items()
    }


def _schemas(operations: Iterable[Operation]) -> Object:
    schemas: Object = {}
    for name in {operation.request: None for operation in operations if operation.request}:
        document = request_schema(name).document
        schemas[document["title"]] = _published(_without_definitions(document), nullable=True)
        schemas |= {key: _published(item, nullable=True) for key, item in document.get("$defs", {}).items()}
    answers = answer_schemas()
    for name in _reachable(answers, _answer_names(operations)):
        schemas[name] = _published(answers[name], nullable=False)
    return schemas


def _answer_names(operations: Iterable[Operation]) -> list[str]:
    names = ((operation.error, operation.response, operation.event, operation.accepted) for operation in operations)
    return [name for row in names for name in row if name is not None]


def _reachable(definitions: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    queue = list(names)
    while queue:
        name = queue.pop(0)
        if name not in found:
            found[name] = None
            queue += re.findall(r'"#/\$defs/(\w+)"', json.dumps(definitions[name]))
    return list(found)


def _without_definitions(document: Mapping[str, Any]) -> Object:
    return {key: value for key, value in document.items() if key not in {"$schema", "$defs"}}


def _published(schema: Any, *, nullable: bool) -> Any:
    """A schema with references into `components`; with `nullable`, properties that are not required may be null."""
    if isinstance(schema, list):
        return [_published(item, nullable=nullable) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _published(value, nullable=nullable) for key, value in schema.items()}
    if "x-synonyms" in result:
        result = _with_synonyms(result)
    if "$ref" in result:
        result["$ref"] = result["$ref"].replace("#/$defs/", "#/components/schemas/")
    if nullable and isinstance(result.get("properties"), dict):
        required = result.get("required", [])
        result["properties"] = {
            name: item if name in required else _or_null(item) for name, item in result["properties"].items()
        }
    return result


def _with_synonyms(schema: Object) -> Object:
    """What clients of other servers send is told in words, and allowed beside what the schema allows."""
    told = schema | {"description": f"{schema['description']} {synonyms(schema)}"}
    if "not" in told or "type" not in told:
        return told
    given = [synonym["given"] for synonym in schema["x-synonyms"]]
    kept = {name: told.pop(name) for name in tuple(told) if name not in _ANNOTATIONS}
    types = kept["type"] if isinstance(kept["type"], list) else [kept["type"]]
    also = [kind for kind in dict.fromkeys(map(_type_of, given)) if kind not in types]
    return told | {"type": [*types, *also], "anyOf": [kept, {"enum": [*given, None]}]}


def _type_of(value: Any) -> str:
    return next(name for kind, name in _TYPES.items() if isinstance(value, kind))


def _or_null(schema: Object) -> Object:
    if "not" in schema:
        refused: Object = {"description": "Refused: " + schema["description"]}
        given = [synonym["given"] for synonym in schema.get("x-synonyms", ())]
        return refused | ({"enum": [None, *given]} if given else {"type": "null"})
    if "type" not in schema:
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    result = schema | {"type": [*types, "null"]}
    return result | {"enum": [*schema["enum"], None]} if "enum" in schema else result


def _reference(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}
