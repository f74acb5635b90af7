"""Grammars of arguments that are written one by one: as tags around plain text, or by name as in a program."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from obeaver.api.core.lark import ControlIds, literal, text_through
from obeaver.engine.grammar.grammar import Part, json_schema_part
from obeaver.text.tool_calls.arguments import KeywordArguments, TagWords

_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment"})
_PLAIN_OBJECT: Final = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
_JSON_TYPES: Final = frozenset({"integer", "number", "boolean", "array", "object"})
_DEFINITIONS: Final = ("$defs", "definitions")
_KEYWORD: Final = re.compile(r"[^\W\d]\w*")


@dataclass(slots=True)
class ArgumentRules:
    """Rules of a Lark grammar, and the parts that they refer to by name."""

    rules: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)

    def json(self, name: str, schema: dict[str, Any]) -> str:
        """The expression of a value as JSON."""
        self.parts[f"value_{name}"] = json_schema_part(schema)
        return f"@value_{name}"


def tag_arguments(
    index: int, schema: Mapping[str, Any], words: TagWords, control_ids: ControlIds
) -> ArgumentRules | None:
    """The rule `args_INDEX` of one function's arguments, a tag for each property in the schema's order.

    Returns:
        None where a property's type is not in plain sight, since tags tell no types, or where the object as a whole has
        to hold to more than its properties.

    Raises:
        GrammarError: A property's schema cannot be enforced.
    """
    properties = _properties(schema)
    if properties is None or not all(map(words.can_name, properties)):
        return None
    made = ArgumentRules()
    sequence: list[str] = []
    for place, (key, value) in enumerate(properties.items()):
        name = f"{index}_{place}"
        expression = _tag_value(name, value, words.pad + words.parameter_end_of(key), made, control_ids)
        if expression is None:
            return None
        begin = words.parameter + key + words.key_end_of(str(value.get("type"))) + words.pad
        made.rules.append(f"tag_{name}: {literal(begin, control_ids)} {expression} {literal(words.gap, control_ids)}")
        sequence.append(f"tag_{name}" + ("" if key in schema.get("required", []) else "?"))
    made.rules.append(f"args_{index}: " + (" ".join(sequence) or '""'))
    return made


def keyword_arguments(
    index: int, schema: Mapping[str, Any], style: KeywordArguments, control_ids: ControlIds
) -> ArgumentRules | None:
    """The rule `args_INDEX` of one function's arguments by their names, in the schema's order.

    Returns:
        None where a name cannot be written, or where the object as a whole has to hold to more than its properties.

    Raises:
        GrammarError: A property's schema cannot be enforced.
    """
    properties = _properties(schema)
    if properties is None or not all(map(_KEYWORD.fullmatch, properties)):
        return None
    made = ArgumentRules()
    separator = literal(style.separator, control_ids)
    last = len(properties)
    for place, (key, value) in enumerate(properties.items()):
        name = f"{index}_{place}"
        written = _keyword_value(name, value, style, made, control_ids)
        made.rules.append(f"item_{name}: {literal(key + style.assign, control_ids)} {written}")
        may_miss = key not in schema.get("required", [])
        following = f"{index}_{place + 1}"
        made.rules.append(f"first_{name}: item_{name} more_{following}" + (f" | first_{following}" if may_miss else ""))
        made.rules.append(
            f"more_{name}: {separator} item_{name} more_{following}" + (f" | more_{following}" if may_miss else "")
        )
    made.rules += [f'first_{index}_{last}: ""', f'more_{index}_{last}: ""', f"args_{index}: first_{index}_0"]
    return made


def _properties(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The properties of a plain object, each with the definitions that it may refer to."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not (set(schema) <= _PLAIN_OBJECT and isinstance(properties, dict) and set(required) <= set(properties)):
        return None
    shared = {name: schema[name] for name in _DEFINITIONS if name in schema}
    return {key: {**value, **shared} if isinstance(value, dict) else {} for key, value in properties.items()}


def _tag_value(name: str, schema: dict[str, Any], end: str, made: ArgumentRules, control_ids: ControlIds) -> str | None:
    """The expression of a value and what closes its tag."""
    kind = schema.get("type")
    if kind != "string":
        is_json = isinstance(kind, str) and kind in _JSON_TYPES
        return f"{made.json(name, schema)} {literal(end, control_ids)}" if is_json else None
    if _is_free(schema):
        rule, expression = text_through(f"text_{name}", end, control_ids)
        made.rules.append(rule)
        return expression
    choices = _choices(schema)
    if choices is None or any(end in choice for choice in choices):
        return None
    return "(" + " | ".join(literal(choice + end, control_ids) for choice in choices) + ")"


def _keyword_value(
    name: str, schema: dict[str, Any], style: KeywordArguments, made: ArgumentRules, control_ids: ControlIds
) -> str:
    if schema.get("type") == "boolean" and _is_free(schema):
        return f"({json.dumps(style.word(True))} | {json.dumps(style.word(False))})"
    if schema.get("type") != "string" or not style.quote:
        return made.json(name, schema)
    if _is_free(schema):
        rule, expression = text_through(f"text_{name}", style.quote, control_ids)
        made.rules.append(rule)
        return f"{literal(style.quote, control_ids)} {expression}"
    choices = _choices(schema)
    if choices is None or any(style.quote in choice for choice in choices):
        return made.json(name, schema)
    return "(" + " | ".join(literal(style.text(choice), control_ids) for choice in choices) + ")"


def _limits(schema: dict[str, Any]) -> set[str]:
    return set(schema) - _ANNOTATIONS - {"type", *_DEFINITIONS}


def _is_free(schema: dict[str, Any]) -> bool:
    return not _limits(schema)


def _choices(schema: dict[str, Any]) -> list[str] | None:
    """The texts of which a value is one; None where something else is asked of it."""
    choices = schema.get("enum")
    if _limits(schema) != {"enum"} or not isinstance(choices, list) or not choices:
        return None
    return choices if all(isinstance(choice, str) for choice in choices) else None
