"""`propertyNames`: what it asks of names, said by listing the properties or by patterns of their names."""

from typing import Any, Final

from obeaver.engine.grammar.schema_vacuous import ANNOTATIONS
from obeaver.engine.grammar.schema_walk import SchemaRefused

_LISTS: Final = ANNOTATIONS | {"type", "enum", "const"}
_PATTERNS: Final = ANNOTATIONS | {"type", "pattern"}
_LENGTHS: Final = ANNOTATIONS | {"type", "minLength", "maxLength"}


def named(schema: dict[str, Any], pointer: str) -> dict[str, Any]:
    """The schema without `propertyNames`.

    Args:
        schema: Changed in place.
        pointer: Where it stands.

    Raises:
        SchemaRefused: It asks for what only a look at each name could tell.
    """
    names = schema.get("propertyNames")
    if names is None:
        return schema
    if isinstance(names, dict) and names.get("type", "string") == "string" and not schema.get("patternProperties"):
        if {"enum", "const"} & set(names) and set(names) <= _LISTS:
            return _listed(schema, [names["const"]] if "const" in names else names["enum"])
        if "pattern" in names and set(names) <= _PATTERNS and not schema.get("properties"):
            return _matching(schema, names["pattern"])
        if set(names) <= _LENGTHS and not schema.get("properties"):
            return _matching(schema, f"^[\\s\\S]{{{names.get('minLength', 0)},{names.get('maxLength', '')}}}$")
    raise SchemaRefused("propertyNames can be an enum, or a pattern or a length beside no properties", pointer)


def _listed(schema: dict[str, Any], names: list[Any]) -> dict[str, Any]:
    del schema["propertyNames"]
    given, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    allowed = [name for name in names if isinstance(name, str)]
    schema["properties"] = {name: given.get(name, others) for name in allowed}
    schema["additionalProperties"] = False
    return schema


def _matching(schema: dict[str, Any], pattern: str) -> dict[str, Any]:
    del schema["propertyNames"]
    schema["patternProperties"] = {pattern: schema.get("additionalProperties", True)}
    schema["additionalProperties"] = False
    schema.pop("properties", None)
    return schema
