"""Values that a model writes as plain text: what JSON they are, by the schema of the function's parameters."""

import json
from collections.abc import Mapping
from typing import Final

_PYTHON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}


def quoted(text: str) -> str:
    """The JSON string of a text."""
    return json.dumps(text, ensure_ascii=False)


def types_of(parameters: Mapping[str, object], key: str) -> frozenset[str]:
    """The JSON types that the schema names for a parameter, as far as they stand in plain sight."""
    return types_in(schema_of(parameters, key))


def schema_of(parameters: Mapping[str, object], key: str) -> object:
    """The schema of a parameter; None where there is none in plain sight."""
    properties = parameters.get("properties")
    return properties.get(key) if isinstance(properties, Mapping) else None


def types_in(schema: object) -> frozenset[str]:
    """The JSON types that a schema names, as far as they stand in plain sight."""
    if not isinstance(schema, Mapping):
        return frozenset()
    named = schema.get("type")
    types = frozenset(name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str))
    choices = [choice for key in ("anyOf", "oneOf") for choice in _items(schema.get(key))]
    return types.union(*(types_in(choice) for choice in choices))


def as_json(text: str, types: frozenset[str]) -> str:
    """The JSON text of a value that is of one of these types; of any, if there are none."""
    value = _PYTHON_WORDS.get(text.strip(), text.strip())
    if "string" in types and not (value == "null" and "null" in types):
        return quoted(text)
    try:
        json.loads(value, parse_constant=_reject)
    except (ValueError, RecursionError):
        return quoted(text)
    return value


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _reject(constant: str) -> object:
    raise ValueError(constant)
