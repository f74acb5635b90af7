"""Where schemas stand within a schema, and how to change each of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

Schema: TypeAlias = Mapping[str, Any]
Rewrite: TypeAlias = Callable[[dict[str, Any], str], dict[str, Any] | bool]
"""(a subschema, its JSON pointer) -> what stands there instead."""

MAX_DEPTH: Final = 64
"""Levels of nested schemas: far beyond what people write, far below what exhausts a stack."""

_ONE: Final = (
    *("additionalProperties", "items", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")


class SchemaRefused(Exception):
    """A schema asks for what no grammar enforces. `pointer` is the JSON pointer of the subschema that does."""

    def __init__(self, reason: str, pointer: str) -> None:
        super().__init__(reason)
        self.pointer = pointer


def subschemas(schema: Schema, pointer: str = "", depth: int = 0) -> Iterator[tuple[str, Schema]]:
    """Every schema object in a schema, itself first, with its JSON pointer.

    Raises:
        SchemaRefused: It is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise SchemaRefused("it is nested too deep", "")
    yield pointer, schema
    for path, child in children(schema):
        yield from subschemas(child, pointer_to(pointer, *path), depth + 1)


def children(schema: Schema) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
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


def rewritten(schema: Schema, rewrite: Rewrite, pointer: str = "") -> Any:
    """A copy in which `rewrite` has changed every subschema, innermost first; what it makes of the whole."""
    result = {name: _copied(value) for name, value in schema.items()}
    for path, child in children(schema):
        holder: Any = result
        for name in path[:-1]:
            holder = holder[name]
        place = int(path[-1]) if isinstance(holder, list) else path[-1]
        holder[place] = rewritten(child, rewrite, pointer_to(pointer, *path))
    return rewrite(result, pointer)


def pointer_to(pointer: str, *path: str) -> str:
    """The JSON pointer of what stands below another (RFC 6901)."""
    return pointer + "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in path)


def referred(root: Schema, reference: object) -> Any:
    """What a local reference stands for; None where there is nothing, or it is not of the form `#/...`."""
    if reference in ("#", "#/"):
        return root
    if not (isinstance(reference, str) and reference.startswith("#/")):
        return None
    found: Any = root
    for step in unquote(reference[2:]).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def types_of(schema: Schema) -> frozenset[str]:
    """The types that a schema names; empty where it names none."""
    named = schema.get("type")
    return frozenset(str(name) for name in (named if isinstance(named, list) else [named] if named else []))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value
