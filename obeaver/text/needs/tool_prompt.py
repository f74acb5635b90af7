"""Conversations with functions, told to a chat template that knows nothing of them.

The functions are described in the system message, calls become the assistant's text, and results the user's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from obeaver.text.needs.retelling import Message
from obeaver.text.tool_calls.dialect import CallFormat
from obeaver.text.tool_spec import ToolChoice, ToolSpec

_EXAMPLE = ("function-name", '{"argument-name": "value"}')


def tell_calls(messages: Iterable[Message], call_format: CallFormat) -> list[Message]:
    """The messages with calls as the assistant's text, behind what else was said."""
    return [_tell(message, call_format) for message in messages]


def tell_results(messages: Iterable[Message]) -> list[Message]:
    """The messages with results as the user's text: one message for all that stand together."""
    told: list[Message] = []
    after_result = False
    for message in messages:
        is_result = message["role"] == "tool"
        if is_result and after_result:
            # Many templates want user and assistant to take turns.
            told[-1] = {**told[-1], "content": told[-1]["content"] + "\n" + _result(message)}
        else:
            told.append({"role": "user", "content": _result(message)} if is_result else message)
        after_result = is_result
    return told


def specs(tools: Iterable[Mapping[str, Any]]) -> list[ToolSpec]:
    """Definitions of functions, as the text layer knows them."""
    functions = [tool["function"] for tool in tools]
    return [
        ToolSpec(function["name"], function.get("description", ""), function.get("parameters", {}))
        for function in functions
    ]


def whole(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A definition with a description and parameters, of which templates read the properties."""
    function = tool["function"]
    schema = {"type": "object", "properties": {}, **function.get("parameters", {})}
    return {**tool, "function": {"description": "", **function, "parameters": schema}}


def _tell(message: Message, call_format: CallFormat) -> Message:
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


def with_system(messages: Sequence[Message], text: str) -> list[Message]:
    """The messages with this text at the end of the system message, which is a new one if need be."""
    if not text:
        return list(messages)
    if messages and messages[0]["role"] == "system":
        first, *others = messages
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


def instruction(
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    call_format: CallFormat,
    *,
    parallel: bool = True,
    told_results: bool = True,
) -> str:
    """What the model has to know of the functions.

    Args:
        tools: The functions on offer.
        choice: Whether the model may or must call; with `none` nothing is said.
        call_format: How calls are written.
        parallel: Whether it may call several at once.
        told_results: Results are told as `tell_results` does it.
    """
    if not tools or choice.mode == "none":
        return ""
    functions = "\n".join(_json(_described(tool)) for tool in tools)
    several = f"To call two, write:\n{call_format.write([_EXAMPLE, _EXAMPLE])}"
    parts = [
        f"You can call functions. These are on offer:\n<tools>\n{functions}\n</tools>",
        f"To call a function, write exactly this form:\n{call_format.write([_EXAMPLE])}",
        several if parallel else "Call one function at a time.",
        *(["Results come back between <tool_response> and </tool_response>."] if told_results else []),
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
