"""JSON Schemas as the grammar compiler can hold answers to them: exactly, or not at all.

llguidance refuses most of what it cannot enforce. What is left is seen to here: `enforceable` writes some keywords in
other words that say the same or a little less, and refuses the rest. A grammar may say less than its schema, never
more: every answer is valid, but not every valid text can be an answer.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from obeaver.engine.grammar.schema_endless import without_endless
from obeaver.engine.grammar.schema_formats import FORMATS, HINTS, OF_LLGUIDANCE, UNENFORCED
from obeaver.engine.grammar.schema_names import named
from obeaver.engine.grammar.schema_numbers import SIZES, bounded, refuse_steps_that_overflow
from obeaver.engine.grammar.schema_pattern import PatternRefused, portable_pattern
from obeaver.engine.grammar.schema_unions import one_of_as_any_of
from obeaver.engine.grammar.schema_vacuous import without_vacuous
from obeaver.engine.grammar.schema_walk import Schema, SchemaRefused, rewritten, subschemas, types_of

_SPEAKS_OF_OTHERS: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_JOINED: Final = ("properties", "anyOf", "oneOf", "$ref", "$dynamicRef", "if", "dependentSchemas")

# JSON has to write these as \uXXXX, which `grammar.LAYOUT` does not allow: any character can be written so, and a key
# could pass for one that the schema does not name.
_UNWRITABLE: Final = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")

_WITHOUT_STRINGS: Final = frozenset({"null", "boolean", "integer", "number", "array", "object"})


def enforceable(schema: Schema, *, lenient: bool = False) -> dict[str, Any]:
    """The schema in words that are enforced to the letter.

    Objects that list their properties and say nothing of others get no others: else a small model adds members until
    its tokens are used up. Where schemas are joined (`allOf`, or `$ref` and its like beside `properties`), what one of
    them does not list another may, so none is closed.

    Args:
        schema: A JSON Schema.
        lenient: Pass over what cannot be enforced, as far as that can be told apart.

    Raises:
        SchemaRefused: It asks for what cannot be enforced, or nothing can satisfy it.
    """
    plain = without_endless(without_vacuous(schema))
    refuse_steps_that_overflow(plain)
    may_close = not any(_joins(part) for _, part in subschemas(plain))

    def exact(part: dict[str, Any], pointer: str) -> dict[str, Any]:
        for step, words in _STEPS:
            try:
                part = step(part, pointer)
            except SchemaRefused:
                if not lenient:
                    raise
                part = {name: value for name, value in part.items() if name not in words}
        part = one_of_as_any_of(part, plain)
        return _closed(part) if may_close else part

    exactly: dict[str, Any] = rewritten(plain, exact)
    return exactly


def _joins(schema: Schema) -> bool:
    """Whether one object may have to hold to several schemas, each with properties of its own."""
    every = schema.get("allOf", [])
    return sum(name in schema for name in _JOINED) + (len(every) if isinstance(every, list) else 0) > 1


def _refuse_inexact(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    required = schema.get("required", [])
    least = schema.get("minProperties", 0)
    # Of names that the schema does not list, the same one may come twice and count once.
    if isinstance(least, int | float) and isinstance(required, list) and least > len(required) + 1:
        raise SchemaRefused("minProperties can be at most one more than there are required properties", pointer)
    if any(_UNWRITABLE.search(text) for text in _strings([schema.get("const"), schema.get("enum")])):
        raise SchemaRefused("const or enum has a control character that is never written", pointer)
    older = next((name for name in ("dependencies", "$recursiveRef") if name in schema), None)
    if older is not None:
        raise SchemaRefused(f"{older} is not supported", pointer)
    return schema


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


def _reworded(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = _portable(schema["pattern"], pointer)
    if isinstance(schema.get("patternProperties"), dict):
        schema["patternProperties"] = _portable_names(schema["patternProperties"], pointer)
    form = schema.get("format")
    if isinstance(form, str):
        del schema["format"]
        if types_of(schema) <= _WITHOUT_STRINGS and types_of(schema):
            return schema
        if form in OF_LLGUIDANCE:
            schema["format"] = OF_LLGUIDANCE[form]
        elif form in FORMATS:
            schema["allOf"] = [*schema.get("allOf", []), {"pattern": f"^(?:{FORMATS[form]})$"}]
        elif not _says_enough(schema, form):
            enforced = ", ".join(sorted({*FORMATS, *OF_LLGUIDANCE}))
            raise SchemaRefused(f"format is not one of {enforced}", pointer)
    return schema


def _says_enough(schema: Schema, form: str) -> bool:
    """Whether a format adds nothing: it forbids no text, or is somebody's own name for what stands beside it."""
    return form in HINTS or (form not in UNENFORCED and not {"pattern", "enum", "const"}.isdisjoint(schema))


def _portable_names(properties: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    portable: dict[str, Any] = {}
    for pattern, child in properties.items():
        written = _portable(pattern, pointer)
        # Two patterns may come to be one.
        portable[written] = {"allOf": [portable[written], child]} if written in portable else child
    return portable


def _portable(pattern: str, pointer: str) -> str:
    try:
        return portable_pattern(pattern)
    except PatternRefused as refusal:
        raise SchemaRefused(f"its pattern cannot be enforced: {refusal}", pointer) from None


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    lists = isinstance(schema.get("properties"), dict) or isinstance(schema.get("patternProperties"), dict)
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if (
        lists
        and _SPEAKS_OF_OTHERS.isdisjoint(schema)
        and isinstance(required, list)
        and all(isinstance(name, str) and name in properties for name in required)
    ):
        return {**schema, "additionalProperties": False}
    return schema


_STEPS: Final[tuple[tuple[Callable[[dict[str, Any], str], dict[str, Any]], frozenset[str]], ...]] = (
    (named, frozenset({"propertyNames"})),
    (bounded, frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", *SIZES})),
    (_refuse_inexact, frozenset({"minProperties", "const", "enum", "dependencies", "$recursiveRef"})),
    (_reworded, frozenset({"pattern", "patternProperties", "format"})),
)
"""How a subschema is made exact, and the words that each step is about."""
