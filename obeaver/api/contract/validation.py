"""Request bodies against their JSON Schemas: the only place that knows how a wrong body is reported.

A room's `NAME.json` is the single definition of a request's shape, ranges, defaults and descriptions. Three annotations
are ours: `x-unsupported` maps values that OpenAI knows and this server refuses to the reason, `x-expected` says in
words what a pattern asks for, and `x-synonyms` lists values that clients of other servers send, with their meanings. A
property whose schema is `"not": {}` is refused altogether, for the reason in its `description`.

The first error in the schema's own order is reported: evaluation stops there, and the report is the same every time.

jsonschema is the judge, and slow: 10 ms for 50 messages and ten tools, in which no token reaches anybody. So a compiled
validator looks at each body first, in microseconds, and what it accepts is not looked at again.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, ValidationError

from obeaver.api.contract.normalise import Schema, completed, without_nulls
from obeaver.api.contract.schema_files import schema_document
from obeaver.api.contract.wording import expectation, path_of
from obeaver.errors import BadRequest


class RequestSchema:
    """One compiled schema document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validator = Draft202012Validator(document)
        self._compiled = jsonschema_rs.Draft202012Validator(document)

    def parse(self, body: object) -> dict[str, Any]:
        """The request with all its parameters: as given, by default, or None.

        Nulls are dropped before anything is judged, unknown parameters afterwards.

        Raises:
            BadRequest: The body breaks the schema; `param` is the path of the first parameter that does.
        """
        given = without_nulls(body, self.document, self.document)
        if not self._compiled.is_valid(given):
            for error in self._validator.iter_errors(given):
                raise self._report(error)
        request = completed(given, self.document, self.document)
        return {name: request.get(name) for name in self.document["properties"]}

    def _report(self, error: ValidationError) -> BadRequest:
        path = path_of(error.absolute_path, self.document)
        schema: Schema = error.schema if isinstance(error.schema, dict) else {}
        if error.validator == "required":
            return _missing(path, schema["required"], error.instance)
        if error.validator == "not":
            message = f"{_named(path)} is not supported: {schema['description']}."
            return BadRequest(message, param=path, code="unsupported_parameter")
        if error.validator == "enum" and error.instance in schema.get("x-unsupported", {}):
            message = f"{_named(path)} is not supported: {schema['x-unsupported'][error.instance]}."
            return BadRequest(message, param=path, code="unsupported_value")
        message = f"{_subject(path, error)} must be {expectation(schema)}."
        return BadRequest(message, param=path, code=_CODES.get(str(error.validator), "invalid_value"))


_CODES = {"type": "invalid_type", "enum": "unknown_value"}


def _subject(path: str | None, error: ValidationError) -> str:
    if "propertyNames" in error.absolute_schema_path:
        return f"Every name in {_named(path)}"
    if "additionalProperties" in error.absolute_schema_path:
        return f"Every value in {_named(path)}"
    return _named(path)


def _named(path: str | None) -> str:
    return "The body" if path is None else f"`{path}`"


def _missing(parent: str | None, required: Sequence[str], given: Any) -> BadRequest:
    name = next(name for name in required if name not in given)
    path = name if parent is None else f"{parent}.{name}"
    return BadRequest(f"`{path}` is required.", param=path, code="missing_required_parameter")


@cache
def request_schema(name: str) -> RequestSchema:
    """The compiled `NAME.json`."""
    return RequestSchema(schema_document(name))


def parse(name: str, body: object) -> dict[str, Any]:
    """The body as `NAME.json` understands it.

    Raises:
        BadRequest: The body breaks the schema.
    """
    return request_schema(name).parse(body)
