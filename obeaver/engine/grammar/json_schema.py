"""JSON Schemas as the grammar compiler can hold answers to them: exactly, or not at all.

llguidance refuses most of what it cannot enforce. What is left is seen to here: `enforceable` writes some keywords in
other words that say the same or a little less, and refuses the rest. A grammar may say less than its schema, never
more: every answer is valid, but not every valid text can be an answer.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from obeaver.engine.grammar.schema_text import FORMATS, portable_pattern
from obeaver.engine.grammar.schema_unions import one_of_as_any_of

Schema: TypeAlias = Mapping[str, Any]
Rewrite: TypeAlias = Callable[[dict[str, Any], str], dict[str, Any]]

MAX_DEPTH: Final = 64
"""Levels of nested schemas: far beyond what people write, far below what exhausts a stack."""

_ONE: Final = (
    *("additionalProperties", "items", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SIZES: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_SPEAKS_OF_OTHERS: Final = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
_JOINED: Final = ("properties", "anyOf", "oneOf", "$ref", "$dynamicRef", "if", "dependentSchemas")

# JSON has to write these as \uXXXX, which `grammar.LAYOUT` does not allow: any character can be written so, and a key
# could pass for one that the schema does not name.
_UNWRITABLE: Final = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")

_MAX_TRIALS: Final = 300


class SchemaRefused(Exception):
    """A schema asks for what no grammar enforces. `pointer` is the JSON pointer of the subschema that does."""

    def __init__(self, reason: str, pointer: str) -> None:
        super().__init__(reason)
        self.pointer = pointer


def enforceable(schema: Schema) -> dict[str, Any]:
    """The schema in words that are enforced to the letter.

    Objects that list their properties and say nothing of others get no others: else a small model adds members until
    its tokens are used up. Where schemas are joined (`allOf`, or `$ref` and its like beside `properties`), what one of
    them does not list another may, so none is closed.

    Raises:
        SchemaRefused: It asks for what cannot be enforced.
    """
    may_close = not any(_joins(part) for _, part in subschemas(schema))

    def exact(part: dict[str, Any], pointer: str) -> dict[str, Any]:
        _refuse_inexact(part, pointer)
        part = one_of_as_any_of(_reworded(part), schema)
        return _closed(part) if may_close else part

    return _rewritten(dict(schema), "", exact)


def subschemas(schema: Schema, pointer: str = "", depth: int = 0) -> Iterator[tuple[str, Schema]]:
    """Every schema object in a schema, itself first, with its JSON pointer.

    Raises:
        SchemaRefused: It is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise SchemaRefused("it is nested too deep", "")
    yield pointer, schema
    for path, child in _children(schema):
        yield from subschemas(child, pointer + "".join(f"/{_escaped(name)}" for name in path), depth + 1)


def locate(schema: Schema, reason: str, reason_of: Callable[[Schema], str | None]) -> str:
    """The JSON pointer of an innermost subschema that is refused for the same reason; "" for the schema itself.

    Args:
        schema: Refused as a whole.
        reason: Why.
        reason_of: Why a schema is refused; None if it is not.
    """
    shared = {name: schema[name] for name in ("$schema", "$defs", "definitions") if name in schema}
    parts = islice(subschemas(schema), 1, _MAX_TRIALS)
    failing = [(pointer, part) for pointer, part in parts if reason_of({**shared, **part}) == reason]
    # What refers to the culprit fails as well.
    return max(failing, key=lambda found: ("$ref" not in found[1], found[0].count("/")), default=("", schema))[0]


def _children(schema: Schema) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Paths and values of the schema objects right below."""
    for name in _ONE:
        if isinstance(schema.get(name), dict):
            yield (name,), schema[name]
    for name in _LISTS:
        if isinstance(schema.get(name), list):
            yield from (((name, str(i)), child) for i, child in enumerate(schema[name]) if isinstance(child, dict))
    for name in _MAPS:
        if isinstance(schema.get(name), dict):
            yield from (((name, key), child) for key, child in schema[name].items() if isinstance(child, dict))


def _rewritten(schema: dict[str, Any], pointer: str, rewrite: Rewrite) -> dict[str, Any]:
    """A copy in which `rewrite` has changed every subschema, innermost first."""
    result = {name: _copied(value) for name, value in schema.items()}
    for path, child in _children(schema):
        holder: Any = result
        for name in path[:-1]:
            holder = holder[name]
        place = int(path[-1]) if isinstance(holder, list) else path[-1]
        holder[place] = _rewritten(child, pointer + "".join(f"/{_escaped(name)}" for name in path), rewrite)
    return rewrite(result, pointer)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _joins(schema: Schema) -> bool:
    """Whether one object may have to hold to several schemas, each with properties of its own."""
    every = schema.get("allOf", [])
    return sum(name in schema for name in _JOINED) + (len(every) if isinstance(every, list) else 0) > 1


def _refuse_inexact(schema: Schema, pointer: str) -> None:
    required = schema.get("required", [])
    least = schema.get("minProperties", 0)
    # Of names that the schema does not list, the same one may come twice and count once.
    if isinstance(least, int | float) and isinstance(required, list) and least > len(required) + 1:
        raise SchemaRefused("minProperties can be at most one more than there are required properties", pointer)
    form = schema.get("format")
    if isinstance(form, str) and form not in FORMATS and _is_of_strings(schema):
        raise SchemaRefused(f"format is not one of {', '.join(sorted(FORMATS))}", pointer)
    if any(_UNWRITABLE.search(text) for text in _strings([schema.get("const"), schema.get("enum")])):
        raise SchemaRefused("const or enum has a control character that is never written", pointer)


def _is_of_strings(schema: Schema) -> bool:
    types = schema.get("type", "string")
    return types == "string" or (isinstance(types, list) and "string" in types)


def _strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value, names of members included."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item


def _reworded(schema: dict[str, Any]) -> dict[str, Any]:
    for name in _SIZES:
        value = schema.get(name)
        if isinstance(value, float) and value.is_integer():
            schema[name] = int(value)
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = portable_pattern(schema["pattern"])
    if isinstance(schema.get("patternProperties"), dict):
        given = schema["patternProperties"]
        schema["patternProperties"] = {portable_pattern(pattern): child for pattern, child in given.items()}
    pattern = FORMATS.get(schema["format"]) if isinstance(schema.get("format"), str) else None
    if pattern is not None:
        del schema["format"]
        schema["allOf"] = [*schema.get("allOf", []), {"pattern": f"^(?:{pattern})$"}]
    return schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    properties, required = schema.get("properties"), schema.get("required", [])
    if (
        isinstance(properties, dict)
        and _SPEAKS_OF_OTHERS.isdisjoint(schema)
        and isinstance(required, list)
        and all(isinstance(name, str) and name in properties for name in required)
    ):
        return {**schema, "additionalProperties": False}
    return schema
