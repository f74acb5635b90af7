"""Grammars of arguments that are written as tags: plain text for strings, JSON for all other values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from obeaver.engine.grammar.grammar import Part, json_schema_part

_END: Final = "</parameter>"
_UP_TO_END: Final = r"/(?s:.*)<\/parameter>/"
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment"})
_PLAIN_OBJECT: Final = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
_JSON_TYPES: Final = frozenset({"integer", "number", "boolean", "array", "object"})


@dataclass(slots=True)
class TagArguments:
    """Rules of a Lark grammar, and the parts that they refer to by name."""

    rules: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)


def tag_arguments(index: int, schema: Mapping[str, Any]) -> TagArguments | None:
    """The rule `args_INDEX` of one function's arguments, a tag for each property in the schema's order.

    Tags tell no types, so only such properties can be written as tags whose type the schema names in plain sight.

    Returns:
        None where there are others, or where the object as a whole has to hold to more than its properties.

    Raises:
        GrammarError: A property's schema cannot be enforced.
    """
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not (set(schema) <= _PLAIN_OBJECT and isinstance(properties, dict) and set(required) <= set(properties)):
        return None
    shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    tags = TagArguments()
    sequence: list[str] = []
    for place, (key, value) in enumerate(properties.items()):
        name = f"{index}_{place}"
        expression = _value(name, {**value, **shared} if isinstance(value, dict) else {}, tags)
        if expression is None or set(key) & set(">\n"):
            return None
        tags.rules.append(
            f"tag_{name}: {json.dumps(f'<parameter={key}>' + chr(10))} {expression} {json.dumps(chr(10))}"
        )
        sequence.append(f"tag_{name}" + ("" if key in required else "?"))
    tags.rules.append(f"args_{index}: " + (" ".join(sequence) or '""'))
    return tags


def _value(name: str, schema: dict[str, Any], tags: TagArguments) -> str | None:
    """The expression of a value and its closing tag."""
    kind = schema.get("type")
    if kind == "string":
        return _text(name, schema, tags)
    if not isinstance(kind, str) or kind not in _JSON_TYPES:
        return None
    tags.parts[f"value_{name}"] = json_schema_part(schema)
    return f"@value_{name} {json.dumps(chr(10) + _END)}"


def _text(name: str, schema: dict[str, Any], tags: TagArguments) -> str | None:
    limits = set(schema) - _ANNOTATIONS - {"type", "$defs", "definitions"}
    if not limits:
        tags.rules.append(f"text_{name}[lazy]: {_UP_TO_END}")
        return f"text_{name}"
    choices = schema.get("enum")
    if limits == {"enum"} and isinstance(choices, list) and choices and all(map(_is_plain, choices)):
        return "(" + " | ".join(json.dumps(f"{choice}\n{_END}") for choice in choices) + ")"
    return None


def _is_plain(choice: object) -> bool:
    return isinstance(choice, str) and _END not in choice
