"""What no value of a schema can be without: where one of these parts has no value, the whole has none."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from obeaver.engine.grammar.schema_walk import Schema, types_of

Child: TypeAlias = tuple[tuple[str, ...], Any]
"""A subschema with its path from the one above."""

_NESTED: Final = frozenset({"object", "array"})


def needed(part: Schema, is_barren: Callable[[Any], bool]) -> Iterator[Child]:
    """The subschemas right below that have no value and so leave the whole without.

    Args:
        part: A schema.
        is_barren: Whether a subschema has no value.
    """
    if "const" in part or "enum" in part:
        return
    yield from _barren(_listed(part, "allOf"), is_barren)
    for word in ("anyOf", "oneOf"):
        branches = _listed(part, word)
        barren = _barren(branches, is_barren)
        yield from barren if len(barren) == len(branches) else ()
    types = types_of(part)
    if types and types <= _NESTED:
        of_types = [_barren(_properties(part), is_barren)] * ("object" in types)
        of_types += [_barren(_items(part), is_barren)] * ("array" in types)
        yield from of_types[0] if all(of_types) else ()


def _barren(children: list[Child], is_barren: Callable[[Any], bool]) -> list[Child]:
    return [(path, child) for path, child in children if is_barren(child)]


def _properties(part: Schema) -> list[Child]:
    properties = part.get("properties")
    listed = properties if isinstance(properties, dict) else {}
    required = {name for _, name in _listed(part, "required") if isinstance(name, str)}
    needed: list[Child] = [(("properties", name), child) for name, child in listed.items() if name in required]
    if not (required <= set(listed) or part.get("patternProperties")):
        needed.append((("additionalProperties",), part.get("additionalProperties")))
    return needed


def _items(part: Schema) -> list[Child]:
    least = part.get("minItems", 0)
    word, others = ("items", "additionalItems") if isinstance(part.get("items"), list) else ("prefixItems", "items")
    first = _listed(part, word)
    if not isinstance(least, int | float):
        return []
    needed = [child for place, child in enumerate(first) if place < least]
    return [*needed, ((others,), part.get(others))] if least > len(first) else needed


def _listed(part: Schema, name: str) -> list[Child]:
    value = part.get(name)
    return [((name, str(place)), child) for place, child in enumerate(value)] if isinstance(value, list) else []
