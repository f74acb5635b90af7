"""Messages of a request: rules that depend on the role, and the form that prompts are made from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from obeaver.errors import BadRequest

Message = dict[str, Any]

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "system": ("content",),
    "developer": ("content",),
    "user": ("content",),
    "assistant": (),
    "tool": ("content", "tool_call_id"),
}
"""What a message of each role must have beside its role."""

SAYS_SOMETHING = ("content", "tool_calls", "refusal", "reasoning_content", "reasoning")
"""An assistant's message has at least one of these, be it empty: answers of this and other servers come back so."""

PART_SEPARATOR = "\n"
"""Stands between the text parts of one message: templates take one string."""


def check_messages(messages: Sequence[Message]) -> None:
    """Check what the schema leaves open because it depends on a role or on a part's type.

    Raises:
        BadRequest: Names the first part of a message that is missing or out of place.
    """
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        for name in REQUIRED[message["role"]]:
            _require(message, name, path)
        if message["role"] == "assistant" and not any(name in message for name in SAYS_SOMETHING):
            _require(message, "content", path)
        if message["role"] != "assistant" and "tool_calls" in message:
            raise BadRequest(
                f'`{path}.tool_calls` belongs to the role "assistant".',
                param=f"{path}.tool_calls",
                code="invalid_value",
            )
        if isinstance(message.get("content"), list):
            _check_parts(message, f"{path}.content")


def _check_parts(message: Message, path: str) -> None:
    for index, part in enumerate(message["content"]):
        if part["type"] == "refusal" and message["role"] != "assistant":
            where = f"{path}[{index}].type"
            raise BadRequest(f'`{where}` "refusal" belongs to the role "assistant".', param=where, code="invalid_value")
        _require(part, part["type"], f"{path}[{index}]")


def _require(value: Mapping[str, Any], name: str, path: str) -> None:
    if name not in value:
        where = f"{path}.{name}"
        raise BadRequest(f"`{where}` is required here.", param=where, code="missing_required_parameter")


def plain_messages(messages: Sequence[Message]) -> list[Message]:
    """Checked messages in the one form that prompts are made from.

    Content is one string, "" where there is none. `developer` is OpenAI's later name of `system`, which is the one that
    templates know. Arguments of calls are objects where their text is one; no text, or `null`, is an empty object. A
    tool's message has the `name` of the function that it answers. What an assistant thought is `reasoning_content`,
    whichever of its two names it came under. What is unknown is left out, and so is an empty list of calls.
    """
    called: dict[str, str] = {}
    return [_plain(message, called) for message in messages]


def _plain(message: Message, called: dict[str, str]) -> Message:
    role = "system" if message["role"] == "developer" else message["role"]
    known = ("name", "tool_call_id")
    result: Message = {"role": role, "content": _text(message)} | {key: message[key] for key in known if key in message}
    if reasoning := message.get("reasoning_content") or message.get("reasoning"):
        result["reasoning_content"] = reasoning
    if message.get("tool_calls"):
        result["tool_calls"] = [_plain_call(call) for call in message["tool_calls"]]
        called.update((call["id"], call["function"]["name"]) for call in message["tool_calls"])
    if role == "tool" and message["tool_call_id"] in called:
        result.setdefault("name", called[message["tool_call_id"]])
    return result


def _text(message: Message) -> str:
    content: str | list[dict[str, str]] = message.get("content") or message.get("refusal") or ""
    return content if isinstance(content, str) else PART_SEPARATOR.join(part[part["type"]] for part in content)


def _plain_call(call: Message) -> Message:
    return {**call, "function": {**call["function"], "arguments": _arguments(call["function"]["arguments"])}}


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
