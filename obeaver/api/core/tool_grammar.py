"""Grammars of calls, from the dialect's own way of writing them and the parameters of each function."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from obeaver.api.core.tag_arguments import tag_arguments
from obeaver.engine.grammar.grammar import GrammarError, Part, json_schema_part
from obeaver.engine.grammar.schema_walk import types_of
from obeaver.text.tool_calls.dialects import CallFormat, Dialect

ControlIds: TypeAlias = Mapping[str, int]
"""Markers that are control tokens of the model: a grammar names them by id, since no text matches them."""

MAX_CALLS: Final = 16
"""Calls in one answer: small models repeat themselves without end."""

_AT_THE_TOP: Final = ("$schema", "$defs", "definitions")


@dataclass(frozen=True, slots=True)
class CallableFunction:
    """A function as grammars know it.

    Attributes:
        name: Its name.
        parameters: The JSON Schema of its arguments.
        lenient: Pass over what the schema asks for and no grammar enforces.
    """

    name: str
    parameters: Mapping[str, Any]
    lenient: bool = False


@dataclass(slots=True)
class CallRules:
    """How calls may be written, in Lark.

    Attributes:
        opening: The text with which all calls begin.
        marker: What of it announces calls in running text; "" if nothing does but standing at the beginning.
        block: Expression of all calls of an answer.
        after_marker: Expression of what follows a marker in running text.
        rules: What these expressions are made of.
        parts: What the rules refer to by name.
    """

    opening: str
    marker: str
    block: str = ""
    after_marker: str = ""
    rules: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)


def call_rules(
    dialect: Dialect, functions: Sequence[CallableFunction], control_ids: ControlIds, *, several: bool
) -> CallRules:
    """The rules of calls of these functions, of which there is at least one.

    Args:
        dialect: How the model writes calls.
        functions: What may be called.
        control_ids: Markers that are control tokens.
        several: Whether there may be more than one call.

    Raises:
        GrammarError: Parameters cannot be enforced.
    """
    form = dialect.format
    calls = CallRules(form.list_begin or form.call_begin, _marker(dialect))
    in_call = "" if form.list_begin else calls.marker
    for index, function in enumerate(functions):
        head = (form.call_begin + function.name + form.after_name)[len(in_call) :]
        calls.rules += _argument_rules(index, function, form, calls.parts)
        calls.rules.append(
            f"body_{index}: {literal(head, control_ids)} args_{index} {literal(form.call_end, control_ids)}"
        )
    calls.rules.append("body: " + " | ".join(f"body_{index}" for index in range(len(functions))))
    calls.rules.append(f"call: {literal(in_call, control_ids)} body")
    more = f"({literal(form.separator, control_ids)} call){{0,{MAX_CALLS - 1}}}" if several else ""
    calls.rules.append(f"calls: call {more}")
    list_end = literal(form.list_end, control_ids)
    calls.block = f"{literal(form.list_begin, control_ids)} calls {list_end}"
    rest_of_list = f"{literal(form.list_begin[len(calls.marker) :], control_ids)} calls {list_end}"
    calls.after_marker = rest_of_list if form.list_begin else "body"
    return calls


def json_calls(dialect: Dialect, functions: Sequence[CallableFunction]) -> list[Part]:
    """One part for each function where a call is a JSON text and nothing else; an empty list for other dialects.

    Such parts can stand beside another JSON text as alternatives: literals cannot, since a lexer would have to choose
    at the first bracket.

    Raises:
        GrammarError: Parameters cannot be enforced.
    """
    form = dialect.format
    if form.list_begin or not form.call_begin.startswith("{"):
        return []
    written = form.call_begin + "_" + form.after_name + "{}" + form.call_end
    return [
        json_schema_part(_call_schema(json.loads(written), function), lenient=function.lenient)
        for function in functions
    ]


def arguments_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a call's arguments: an object, and an empty one where no parameters are declared.

    Raises:
        GrammarError: The parameters are those of something else.
    """
    types = types_of(parameters)
    if types and "object" not in types:
        raise GrammarError("arguments are an object, so its type must be `object`")
    return {**parameters, "type": "object"} if parameters else {"type": "object", "additionalProperties": False}


def literal(text: str, control_ids: ControlIds) -> str:
    """The Lark expression of exactly this text; "" for none."""
    if not control_ids:
        return json.dumps(text) if text else ""
    longest_first = sorted(control_ids, key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
    return " ".join(
        f"<[{control_ids[piece]}]>" if piece in control_ids else json.dumps(piece) for piece in pieces if piece
    )


def _marker(dialect: Dialect) -> str:
    """Text at the beginning of calls that cannot be meant otherwise."""
    form, own = dialect.format, dialect.forms[0]
    if form.list_begin:
        return "" if own.line_start else form.list_begin
    return own.opener if form.call_begin.startswith(own.opener) and not own.line_start else ""


def _argument_rules(index: int, function: CallableFunction, form: CallFormat, parts: dict[str, Part]) -> list[str]:
    schema = arguments_schema(function.parameters)
    if form.arguments == "tags":
        tags = tag_arguments(index, schema)
        if tags is not None:
            parts.update(tags.parts)
            return tags.rules
    parts[f"arguments_{index}"] = json_schema_part(schema, lenient=function.lenient)
    return [f"args_{index}: @arguments_{index}" + (' "\\n"' if form.arguments == "tags" else "")]


def _call_schema(written: dict[str, Any], function: CallableFunction) -> dict[str, Any]:
    """The schema of a call, from how one with no arguments is written. Definitions must stay at the top."""
    parameters = arguments_schema(function.parameters)
    shared: dict[str, Any] = {name: parameters.pop(name) for name in _AT_THE_TOP if name in parameters}
    return {**shared, **_exactly(written, function.name, parameters)}


def _exactly(value: Any, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, str):
        return {"const": name}
    if not value:
        return dict(parameters)
    properties = {key: _exactly(item, name, parameters) for key, item in value.items()}
    return {"type": "object", "properties": properties, "required": list(value), "additionalProperties": False}
