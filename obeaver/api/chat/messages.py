"""Messages of a chat request: rules that depend on the role, and the core's messages made of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Message,
    Part,
    SystemMessage,
    ToolResult,
    UserMessage,
    text_parts,
)
from obeaver.errors import BadRequest

ChatMessage = dict[str, Any]

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "system": ("content",),
    "developer": ("content",),
    "user": ("content",),
    "assistant": (),
    "tool": ("content", "tool_call_id"),
}
"""What a message of each role must have beside its role."""

SAYS_SOMETHING: Final = ("content", "tool_calls", "refusal", "reasoning_content", "reasoning")
"""An assistant's message has at least one of these, be it empty: answers of this and other servers come back so."""


_ROLES: Final[Mapping[type[Message], str]] = {
    SystemMessage: "system",
    UserMessage: "user",
    AssistantMessage: "assistant",
    ToolResult: "tool",
}


def parse_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The messages of a request that its schema accepts. What is unknown is left out.

    `developer` is OpenAI's later name of `system`. What an assistant thought comes under either of two names.

    Raises:
        BadRequest: Names the first part of a message that is missing or out of place.
    """
    for index, message in enumerate(messages):
        _check(message, f"messages[{index}]")
    return tuple(map(_parsed, messages))


def _check(message: ChatMessage, path: str) -> None:
    """Check what the schema leaves open because it depends on a role or on a part's type."""
    for name in REQUIRED[message["role"]]:
        _require(message, name, path)
    if message["role"] == "assistant" and not any(name in message for name in SAYS_SOMETHING):
        _require(message, "content", path)
    if message["role"] != "assistant" and "tool_calls" in message:
        where = f"{path}.tool_calls"
        raise BadRequest(f'`{where}` belongs to the role "assistant".', param=where, code="invalid_value")
    if isinstance(message.get("content"), list):
        _check_parts(message, f"{path}.content")


def _check_parts(message: ChatMessage, path: str) -> None:
    for index, part in enumerate(message["content"]):
        if part["type"] == "refusal" and message["role"] != "assistant":
            where = f"{path}[{index}].type"
            raise BadRequest(f'`{where}` "refusal" belongs to the role "assistant".', param=where, code="invalid_value")
        _require(part, part["type"], f"{path}[{index}]")


def _require(value: Mapping[str, Any], name: str, path: str) -> None:
    if name not in value:
        where = f"{path}.{name}"
        raise BadRequest(f"`{where}` is required here.", param=where, code="missing_required_parameter")


def _parsed(message: ChatMessage) -> Message:
    parts, name = _parts(message), message.get("name")
    match message["role"]:
        case "system" | "developer":
            return SystemMessage(parts, name)
        case "user":
            return UserMessage(parts, name)
        case "tool":
            return ToolResult(message["tool_call_id"], parts, name)
    return AssistantMessage(
        parts,
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        calls=tuple(map(_call, message.get("tool_calls", ()))),
        name=name,
    )


def _parts(message: ChatMessage) -> tuple[Part, ...]:
    content: str | list[dict[str, str]] = message.get("content") or message.get("refusal") or ""
    if isinstance(content, str):
        return text_parts(content) if content else ()
    return text_parts(*(part[part["type"]] for part in content))


def _call(call: ChatMessage) -> Call:
    function = call["function"]
    return Call(call["id"], function["name"], function["arguments"])


def chat_messages(messages: Sequence[Message]) -> list[ChatMessage]:
    """The messages as a chat request has them: what `parse_messages` reads."""
    return list(map(_chat_message, messages))


def _chat_message(message: Message) -> ChatMessage:
    chat: ChatMessage = {"role": _ROLES[type(message)], "content": _content(message.parts)}
    if message.name is not None:
        chat["name"] = message.name
    match message:
        case ToolResult(call_id):
            chat["tool_call_id"] = call_id
        case AssistantMessage(_, reasoning, calls):
            chat |= {"reasoning_content": reasoning} if reasoning else {}
            chat |= {"tool_calls": list(map(_chat_call, calls))} if calls else {}
    return chat


def _content(parts: Sequence[Part]) -> str | list[ChatMessage]:
    if len(parts) < 2:
        return "".join(part.text for part in parts)
    return [{"type": "text", "text": part.text} for part in parts]


def _chat_call(call: Call) -> ChatMessage:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
