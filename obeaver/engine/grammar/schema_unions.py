"""`oneOf` where its branches exclude each other: then it says the same as `anyOf`, which grammars can follow."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Final

_ALL_TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment"})
_SHARED: Final = ("$defs", "definitions")


def one_of_as_any_of(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with `anyOf` for `oneOf` if that is the same.

    Args:
        schema: Changed in place.
        root: The document that references point into.
    """
    # llguidance takes OpenAPI's `discriminator` for a promise that the branches exclude each other.
    schema.pop("discriminator", None)
    branches = schema.get("oneOf")
    if isinstance(branches, list) and "anyOf" not in schema:
        resolved = [_resolved(branch, root) for branch in branches]
        if all(_exclude_each_other(one, other) for one, other in combinations(resolved, 2)):
            schema["anyOf"] = schema.pop("oneOf")
    return schema


def _resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """What a reference to a definition stands for; other schemas as they are."""
    if not isinstance(schema, dict) or set(schema) - _ANNOTATIONS != {"$ref"}:
        return schema
    for place in _SHARED:
        name = str(schema["$ref"]).removeprefix(f"#/{place}/")
        if name != schema["$ref"] and isinstance(root.get(place), dict):
            return root[place].get(name)
    return schema


def _exclude_each_other(one: Any, other: Any) -> bool:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    if _types(one).isdisjoint(_types(other)):
        return True
    if _types(one) != {"object"} or _types(other) != {"object"}:
        return False
    return any(
        first and second and first.isdisjoint(second)
        for name in _required(one) & _required(other)
        for first, second in [(_values(one, name), _values(other, name))]
    )


def _required(schema: Mapping[str, Any]) -> frozenset[str]:
    names = schema.get("required")
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    named = schema.get("type")
    types = frozenset(str(name) for name in (named if isinstance(named, list) else [named]))
    if named is None:
        return _ALL_TYPES
    return types | {"integer"} if "number" in types else types


def _values(schema: Mapping[str, Any], name: str) -> frozenset[str]:
    """The texts that a property may have; none where it may have others."""
    properties = schema.get("properties")
    value = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(value, dict):
        return frozenset()
    choices = [value["const"]] if "const" in value else value.get("enum", [])
    # 1 and 1.0 are one number, so only texts are told apart here.
    known = isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)
    return frozenset(choices) if known else frozenset()
