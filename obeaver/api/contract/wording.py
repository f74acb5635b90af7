"""Words for a value that breaks its schema.

The library's own messages never reach a client: they quote the request. These name the parameter and what was expected
of it, and nothing else.
"""

import json
from collections.abc import Iterable
from typing import Any

from obeaver.api.contract.normalise import Schema

TYPE_NAMES = {
    "array": "an array",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def path_of(elements: Iterable[str | int], document: Schema) -> str | None:
    """`messages[0].content` for ["messages", 0, "content"], None for the body itself.

    It ends before the first name that the schema does not know: such names (the keys of a map) are the client's text.
    """
    known = property_names(document)
    path = ""
    for element in elements:
        if isinstance(element, int):
            path += f"[{element}]"
        elif element in known:
            path += f".{element}" if path else element
        else:
            break
    return path or None


def property_names(schema: Any) -> frozenset[str]:
    """Every property name that a schema document defines, at any depth."""
    if isinstance(schema, list):
        return frozenset().union(*map(property_names, schema))
    if not isinstance(schema, dict):
        return frozenset()
    here = frozenset(schema["properties"]) if isinstance(schema.get("properties"), dict) else frozenset()
    return here.union(*map(property_names, schema.values()))


def expectation(schema: Schema) -> str:
    """What a schema asks for: "an integer from 0 to 20", "a string or an array of at most 16 items"."""
    if "x-expected" in schema:
        return str(schema["x-expected"])
    if "enum" in schema:
        return "one of " + ", ".join(f'"{value}"' for value in schema["enum"])
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    return " or ".join(TYPE_NAMES[name] + _limits(name, schema) for name in names)


def synonyms(schema: Schema) -> str:
    """A sentence on the values that are read as others: "-1 means 0"; "" where there are none."""
    readings = [
        f"`{json.dumps(item['given'])}` "
        + ("is as if not given" if item["means"] is None else f"means {item.get('words') or json.dumps(item['means'])}")
        for item in schema.get("x-synonyms", ())
    ]
    return f"{', '.join(readings)}." if readings else ""


def _limits(name: str, schema: Schema) -> str:
    if name in {"integer", "number"}:
        return _range(schema)
    if name == "string":
        return _size(schema.get("minLength"), schema.get("maxLength"), "character")
    if name == "array":
        return _size(schema.get("minItems"), schema.get("maxItems"), "item")
    return ""


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        above = f" above {schema['exclusiveMinimum']}"
        return above if high is None else f"{above} and up to {high}"
    if low is None:
        return ""
    return f" of at least {low}" if high is None else f" from {low} to {high}"


def _size(low: int | None, high: int | None, noun: str) -> str:
    parts = [f"at least {low} {noun}{'s' * (low != 1)}"] if low is not None else []
    parts += [f"at most {high} {noun}s"] if high is not None else []
    return " of " + " and ".join(parts) if parts else ""
