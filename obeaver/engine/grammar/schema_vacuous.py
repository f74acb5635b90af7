"""What a schema says without asking for anything: left out, so that nothing is refused for its sake."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from obeaver.engine.grammar.schema_walk import Schema, SchemaRefused, referred, rewritten, subschemas

ANNOTATIONS: Final = frozenset(
    {
        *("title", "description", "default", "examples", "example", "$comment", "deprecated", "readOnly", "writeOnly"),
        *("contentMediaType", "contentEncoding", "contentSchema", "$vocabulary"),
    }
)
"""Keywords that no instance can break."""

_NAMES_A_VALUE: Final = frozenset({"const", "default", "examples", "example"})
_DRAFT: Final = re.compile(r"https?://json-schema\.org/(draft(?:/20\d\d-\d\d|-0\d))/schema#?/?")
_KNOWN_DRAFTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "draft/2020-12": "https://json-schema.org/draft/2020-12/schema",
        "draft/2019-09": "https://json-schema.org/draft/2019-09/schema",
        **{f"draft-0{n}": f"http://json-schema.org/draft-0{n}/schema#" for n in (4, 6, 7)},
    }
)
_JOIN: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if", "then", "else", "dependentSchemas"})
_SHARED: Final = ("$defs", "definitions")


def without_vacuous(schema: Schema) -> dict[str, Any]:
    """The schema without words that ask for nothing, as they are or where they stand.

    Raises:
        SchemaRefused: It is of a draft whose words mean something else.
    """
    stripped: dict[str, Any] = rewritten(_without_unused(schema), _stripped)
    return stripped


def is_vacuous(schema: object) -> bool:
    """Whether every value is valid."""
    return schema is True or (isinstance(schema, dict) and set(schema) <= ANNOTATIONS)


def _without_unused(schema: Schema) -> dict[str, Any]:
    """The schema without definitions that nothing refers to; they may ask for whatever they like."""
    used: set[str] = set()
    pending: list[Any] = [{name: value for name, value in schema.items() if name not in _SHARED}]
    while pending:
        for _, part in subschemas(pending.pop()):
            for word in ("$ref", "$dynamicRef", "$recursiveRef"):
                reference = part.get(word)
                if not isinstance(reference, str) or reference in used:
                    continue
                if not reference.startswith("#/"):
                    # It may name any of them by an anchor or an address.
                    return dict(schema)
                used.add(reference)
                target = referred(schema, reference)
                pending += [target] if isinstance(target, dict) else []
    kept = dict(schema)
    for place in _SHARED:
        if isinstance(schema.get(place), dict):
            inside = {name for name in schema[place] if any(_is_in(reference, place, name) for reference in used)}
            kept[place] = {name: value for name, value in schema[place].items() if name in inside}
    return kept


def _is_in(reference: str, place: str, name: str) -> bool:
    steps = reference.split("/")
    written = steps[2].replace("~1", "/").replace("~0", "~") if len(steps) > 2 else ""
    # A percent sign may stand for anything.
    return steps[1] == place and (written == name or len(steps) == 2 or "%" in written)


def _stripped(schema: dict[str, Any], pointer: str) -> dict[str, Any] | bool:
    nulls = [name for name, value in schema.items() if value is None and name not in _NAMES_A_VALUE]
    for name in (*nulls, "contentSchema", "deprecated", "$vocabulary"):
        schema.pop(name, None)
    _name_draft(schema, pointer)
    for name, is_off in _OFF.items():
        if name in schema and is_off(schema[name], schema):
            del schema[name]
    if is_vacuous(schema.get("not", False)):
        if not pointer:
            raise SchemaRefused("nothing can satisfy it: its `not` leaves nothing", pointer)
        return False
    _settle_condition(schema)
    _settle_contains(schema)
    _settle_unevaluated(schema)
    return schema


def _name_draft(schema: dict[str, Any], pointer: str) -> None:
    """Each draft is named as its own specification does. What has another name is read as the newest."""
    given = schema.pop("$schema", None)
    found = _DRAFT.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        return
    if found.group(1) in ("draft-03", "draft-02", "draft-01", "draft-00"):
        raise SchemaRefused("drafts before 4 are not supported", pointer)
    if found.group(1) in _KNOWN_DRAFTS:
        schema["$schema"] = _KNOWN_DRAFTS[found.group(1)]


def _settle_condition(schema: dict[str, Any]) -> None:
    """`if` that decides nothing, and branches that nothing decides about."""
    branches = [name for name in ("then", "else") if name in schema]
    if "if" not in schema or all(is_vacuous(schema[name]) for name in branches):
        for name in ("if", *branches):
            schema.pop(name, None)
    elif is_vacuous(schema["if"]) or schema["if"] is False:
        taken, left = ("else", "then") if schema["if"] is False else ("then", "else")
        del schema["if"]
        schema.pop(left, None)
        if taken in schema:
            schema["allOf"] = [*schema.get("allOf", []), schema.pop(taken)]


def _settle_contains(schema: dict[str, Any]) -> None:
    """`contains` that any item satisfies counts items, and one that may be missing asks for none."""
    if "contains" not in schema:
        schema.pop("minContains", None)
        schema.pop("maxContains", None)
    elif schema.get("minContains") == 0 and "maxContains" not in schema and "unevaluatedItems" not in schema:
        del schema["contains"], schema["minContains"]
    elif is_vacuous(schema["contains"]) and schema.get("type") == "array":
        del schema["contains"]
        least, most = schema.pop("minContains", 1), schema.pop("maxContains", None)
        schema["minItems"] = max(least, schema.get("minItems", 0))
        if most is not None:
            schema["maxItems"] = min(most, schema.get("maxItems", most))


def _settle_unevaluated(schema: dict[str, Any]) -> None:
    """Where nothing is joined, what was not evaluated is what was not listed."""
    if not _JOIN.isdisjoint(schema):
        return
    if "unevaluatedProperties" in schema:
        others = schema.pop("unevaluatedProperties")
        schema.setdefault("additionalProperties", others)
    if "unevaluatedItems" in schema and "contains" not in schema and not isinstance(schema.get("items"), list):
        others = schema.pop("unevaluatedItems")
        schema.setdefault("items", others)


def _size(schema: Schema, name: str) -> int:
    value = schema.get(name)
    return len(value) if isinstance(value, list | dict) else 0


def _asks_for_no_more(value: object, schema: Schema) -> bool:
    required = schema.get("required")
    return isinstance(value, int | float) and isinstance(required, list) and value <= len(set(map(str, required)))


def _leaves_room(value: object, schema: Schema) -> bool:
    is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    return isinstance(value, int | float) and is_closed and value >= _size(schema, "properties")


def _holds_one_at_most(schema: Schema) -> bool:
    most = schema.get("maxItems")
    return isinstance(most, int | float) and most <= 1


def _depends_on_nothing(value: object, schema: Schema) -> bool:
    required = schema.get("required")
    always = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return isinstance(value, dict) and all(
        is_vacuous(needed) or (isinstance(needed, list) and set(map(str, needed)) <= always)
        for needed in value.values()
    )


def _is_of_strings_alone(value: object, _schema: Schema) -> bool:
    if not isinstance(value, dict):
        return value is True
    named = value.get("type", "string")
    return set(value) <= ANNOTATIONS | {"type"} and (
        named == "string" or (isinstance(named, list) and "string" in named)
    )


_OFF: Final[Mapping[str, Callable[[Any, Schema], bool]]] = MappingProxyType(
    {
        "propertyNames": _is_of_strings_alone,
        "uniqueItems": lambda value, schema: value is False or _holds_one_at_most(schema),
        "unevaluatedProperties": lambda value, _: is_vacuous(value),
        "unevaluatedItems": lambda value, _: is_vacuous(value),
        "dependentRequired": _depends_on_nothing,
        "dependentSchemas": _depends_on_nothing,
        "dependencies": _depends_on_nothing,
        "additionalItems": lambda _, schema: not isinstance(schema.get("items"), list),
        "not": lambda value, _: value is False,
        "allOf": lambda value, _: isinstance(value, list) and all(map(is_vacuous, value)),
        "patternProperties": lambda value, _: value == {},
        "minProperties": _asks_for_no_more,
        "maxProperties": _leaves_room,
        "$recursiveAnchor": lambda value, _: value is False,
        "exclusiveMinimum": lambda value, _: value is False,
        "exclusiveMaximum": lambda value, _: value is False,
    }
)
"""Keywords that may ask for nothing, and when they do: (value, schema) -> whether."""
