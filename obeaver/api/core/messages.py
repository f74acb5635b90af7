"""Messages in the one form that chat templates take."""

import json
from collections.abc import Sequence
from typing import Any

from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Message,
    Part,
    SystemMessage,
    ToolResult,
    UserMessage,
)

PlainMessage = dict[str, Any]

PART_SEPARATOR = "\n"
"""Stands between the text parts of one message: templates take one string."""


def plain_messages(messages: Sequence[Message]) -> list[PlainMessage]:
    """The messages as templates know them.

    Content is one string, "" where there is none. Arguments of calls are objects where their text is one; no text, or
    `null`, is an empty object. A tool's message has the `name` of the function that it answers.
    """
    called: dict[str, str] = {}
    return [_plain(message, called) for message in messages]


def _plain(message: Message, called: dict[str, str]) -> PlainMessage:
    plain: PlainMessage = {"role": _role(message), "content": text_of(message.parts)}
    if message.name is not None:
        plain["name"] = message.name
    match message:
        case AssistantMessage():
            called.update((call.id, call.name) for call in message.calls)
            _add_answer(message, plain)
        case ToolResult(call_id):
            plain["tool_call_id"] = call_id
            if call_id in called:
                plain.setdefault("name", called[call_id])
    return plain


def _role(message: Message) -> str:
    match message:
        case SystemMessage():
            return "system"
        case UserMessage():
            return "user"
        case AssistantMessage():
            return "assistant"
        case ToolResult():
            return "tool"


def text_of(parts: Sequence[Part]) -> str:
    """One text of all parts."""
    return PART_SEPARATOR.join(part.text for part in parts)


def _add_answer(message: AssistantMessage, plain: PlainMessage) -> None:
    if message.reasoning:
        plain["reasoning_content"] = message.reasoning
    if message.calls:
        plain["tool_calls"] = [_plain_call(call) for call in message.calls]


def _plain_call(call: Call) -> PlainMessage:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(text: str) -> Any:
    """Their object; clients also send back what a model got wrong, which stays text.

    A stream that held no piece of arguments is put together to an empty text, or to none.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if value is None:
        return {}
    return value if isinstance(value, dict) else text
