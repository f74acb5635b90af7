"""Conversations with functions, told to a chat template that knows nothing of them.

The functions are described in the system message, calls become the assistant's text, and results the user's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS, CallFormat
from obeaver.text.tool_spec import ToolChoice, ToolSpec

Message: TypeAlias = Mapping[str, Any]
"""A message as chat templates know it: content is a string, arguments are an object if a client sent one."""

_EXAMPLE = ("function-name", '{"argument-name": "value"}')


def describe_tools(
    messages: Iterable[Message],
    tools: Sequence[ToolSpec],
    *,
    choice: ToolChoice,
    parallel: bool = True,
    dialect: str | None = None,
) -> list[dict[str, Any]]:
    """The messages for a template that knows nothing of tools.

    Args:
        messages: The conversation, which may hold calls and their results.
        tools: The functions on offer.
        choice: Whether the model may or must call; with `none` only the history is told.
        parallel: Whether it may call several at once.
        dialect: How calls are written; the default dialect if not given.

    Returns:
        New messages, of the roles system, user and assistant, without calls.
    """
    call_format = DIALECTS[dialect or DEFAULT_DIALECT].format
    told = _tell_history(messages, call_format)
    if not tools or choice.mode == "none":
        return told
    return _with_system(told, _instruction(tools, choice, parallel, call_format))


def _tell_history(messages: Iterable[Message], call_format: CallFormat) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    after_result = False
    for message in messages:
        is_result = message["role"] == "tool"
        if is_result and after_result:
            # One message for all results: many templates want user and assistant to take turns.
            told[-1]["content"] += "\n" + _result(message)
        elif is_result:
            told.append({"role": "user", "content": _result(message)})
        else:
            told.append(_tell(message, call_format))
        after_result = is_result
    return told


def _tell(message: Message, call_format: CallFormat) -> dict[str, Any]:
    told = dict(message)
    calls = told.pop("tool_calls", None)
    if calls:
        functions = [call["function"] for call in calls]
        written = call_format.write((function["name"], _object(function["arguments"])) for function in functions)
        told["content"] = f"{told['content']}\n{written}" if told["content"] else written
    return told


def _object(arguments: object) -> str:
    """The JSON text of a call's arguments; what a model got wrong and a client sent back is put into an object."""
    return _json(arguments if isinstance(arguments, Mapping) else {"arguments": arguments})


def _result(message: Message) -> str:
    result = {"tool_call_id": message["tool_call_id"], "name": message.get("name"), "content": message["content"]}
    return f"<tool_response>\n{_json(result)}\n</tool_response>"


def _with_system(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    if messages and messages[0]["role"] == "system":
        first, *others = messages
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


def _instruction(tools: Sequence[ToolSpec], choice: ToolChoice, parallel: bool, call_format: CallFormat) -> str:
    functions = "\n".join(_json(_described(tool)) for tool in tools)
    several = f"To call two, write:\n{call_format.write([_EXAMPLE, _EXAMPLE])}"
    parts = [
        f"You can call functions. These are on offer:\n<tools>\n{functions}\n</tools>",
        f"To call a function, write exactly this form:\n{call_format.write([_EXAMPLE])}",
        several if parallel else "Call one function at a time.",
        "Results come back between <tool_response> and </tool_response>.",
        _obligation(choice),
    ]
    return "\n\n".join(parts)


def _obligation(choice: ToolChoice) -> str:
    if choice.mode == "function":
        return f"Answer with a call of {choice.name}, and nothing else."
    if choice.mode == "required":
        return "Answer with a function call, and nothing else."
    return "Where no function is needed, answer in plain words."


def _described(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
