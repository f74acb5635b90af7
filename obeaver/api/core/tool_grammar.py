"""Grammars of calls, from the dialect's own way of writing them and the parameters of each function."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from obeaver.api.core.argument_rules import keyword_arguments, tag_arguments
from obeaver.api.core.lark import ControlIds, literal
from obeaver.engine.grammar.grammar import GrammarError, Part, json_schema_part
from obeaver.engine.grammar.schema_walk import types_of
from obeaver.text.tool_calls.arguments import KeywordArguments, TagWords
from obeaver.text.tool_calls.dialect import CALL_ID, INDEX, CallFormat, Dialect

MAX_CALLS: Final = 16
"""Calls in one answer: small models repeat themselves without end."""

_STAND_INS: Final = {INDEX: ("COUNT", "/[0-9]{1,2}/"), CALL_ID: ("CALL_ID", "/[a-z0-9]{10}/")}
"""Terminals of what a format leaves open."""

_OPEN: Final = re.compile(f"({'|'.join(map(re.escape, _STAND_INS))})")

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
        openings: Texts with one of which all calls begin.
        marker: What of it announces calls in running text; "" if nothing does but standing at the beginning.
        block: Expression of all calls of an answer.
        after_marker: Expression of what follows a marker in running text.
        rules: What these expressions are made of.
        parts: What the rules refer to by name.
    """

    openings: tuple[str, ...]
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
    calls = CallRules(_openings(form, functions), _marker(dialect))
    in_call = "" if form.list_begin else calls.marker
    heads = [form.call_begin + function.name + form.after_name for function in functions]
    for index, function in enumerate(functions):
        end = literal(form.call_end, control_ids)
        calls.rules += _argument_rules(index, function, form, control_ids, calls.parts)
        calls.rules.append(f"rest_{index}: args_{index} {end}")
    calls.rules += [f"{name}: {expression}" for text, (name, expression) in _STAND_INS.items() if text in heads[0]]
    calls.rules.append("body: " + _alternatives([head[len(in_call) :] for head in heads], control_ids))
    calls.rules.append(f"call: {literal(in_call, control_ids)} body")
    more = f"({literal(form.separator, control_ids)} call){{0,{MAX_CALLS - 1}}}" if several else ""
    end = f"{more} {literal(form.list_end, control_ids)}"
    if calls.openings == (form.list_begin or form.call_begin,):
        calls.block = f"{literal(form.list_begin, control_ids)} call {end}"
    else:
        # A lexer decides between a call and a text by its first piece, so that must tell all.
        calls.rules.append("opened: " + _alternatives(list(calls.openings), control_ids))
        calls.block = f"opened {end}"
    rest_of_list = f"{literal(form.list_begin[len(calls.marker) :], control_ids)} call {end}"
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


def _alternatives(heads: Sequence[str], control_ids: ControlIds) -> str:
    """A call of any function, from its head on."""
    return " | ".join(f"{_counted(head, control_ids)} rest_{index}" for index, head in enumerate(heads))


def _counted(text: str, control_ids: ControlIds) -> str:
    """The expression of a text in which calls are counted, or have ids: any small number will do, and any id."""
    parts = _OPEN.split(text)
    return " ".join(_STAND_INS[part][0] if part in _STAND_INS else literal(part, control_ids) for part in parts)


def _openings(form: CallFormat, functions: Sequence[CallableFunction]) -> tuple[str, ...]:
    """With a bracket alone many a text begins: then it takes a function's name to make a call of it."""
    begin = form.list_begin or form.call_begin
    if any(map(str.isalpha, begin)):
        return (begin,)
    return tuple(f"{form.list_begin}{form.call_begin}{function.name}{form.after_name}" for function in functions)


def _marker(dialect: Dialect) -> str:
    """Text at the beginning of calls that cannot be meant otherwise."""
    form, own = dialect.format, dialect.forms[0]
    if form.list_begin:
        return "" if own.line_start else form.list_begin.rstrip()
    return own.opener if form.call_begin.startswith(own.opener) and not own.line_start else ""


def _argument_rules(
    index: int, function: CallableFunction, form: CallFormat, control_ids: ControlIds, parts: dict[str, Part]
) -> list[str]:
    """The rules that make up `args_INDEX`; as one JSON object where the arguments cannot be written one by one."""
    schema, style = arguments_schema(function.parameters), form.arguments
    made, fallback = None, f"@arguments_{index}"
    if isinstance(style, TagWords):
        made = tag_arguments(index, schema, style, control_ids)
        fallback += ' "\\n"'
    elif isinstance(style, KeywordArguments):
        made = keyword_arguments(index, schema, style, control_ids)
    if made is not None:
        parts.update(made.parts)
        return made.rules
    parts[f"arguments_{index}"] = json_schema_part(schema, lenient=function.lenient)
    return [f"args_{index}: {fallback}"]


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
