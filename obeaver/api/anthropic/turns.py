"""Turns of a Messages request: rules that depend on role and type, and the core's messages made of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Message,
    SystemMessage,
    ToolResult,
    UserMessage,
    text_parts,
)
from obeaver.errors import BadRequest

Block = dict[str, Any]

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking",),
    "redacted_thinking": (),
}
"""What a block of each type must have."""

SPEAKERS: Final[Mapping[str, str]] = {
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_result": "user",
}
"""Whose turns may have blocks of a type; text is for both."""


def parse_turns(system: str | Sequence[Block] | None, turns: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    """The messages of a request that its schema accepts.

    A user's turn that answers calls becomes a result for each of them, and a message of the text beside them.

    Raises:
        BadRequest: Names the first block that is incomplete or out of place.
    """
    for index, turn in enumerate(turns):
        _check(turn, f"messages[{index}].content")
    told = _texts(system or ())
    first = (SystemMessage(text_parts(*told)),) if any(told) else ()
    return *first, *(message for turn in turns for message in _messages(turn))


def _check(turn: dict[str, Any], path: str) -> None:
    if isinstance(turn["content"], str):
        return
    for index, block in enumerate(turn["content"]):
        kind, where = block["type"], f"{path}[{index}]"
        for name in REQUIRED[kind]:
            if name not in block:
                message = f"`{where}.{name}` is required here."
                raise BadRequest(message, param=f"{where}.{name}", code="missing_required_parameter")
        if SPEAKERS.get(kind, turn["role"]) != turn["role"]:
            message = f'`{where}.type` "{kind}" belongs to the role "{SPEAKERS[kind]}".'
            raise BadRequest(message, param=f"{where}.type", code="invalid_value")


def _messages(turn: dict[str, Any]) -> list[Message]:
    content: str | list[Block] = turn["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    texts = text_parts(*(block["text"] for block in blocks if block["type"] == "text"))
    if turn["role"] == "assistant":
        return [AssistantMessage(texts, reasoning=_thoughts(blocks), calls=_calls(blocks))]
    results = [_result(block) for block in blocks if block["type"] == "tool_result"]
    return [*results, *([UserMessage(texts)] if texts or not results else [])]


def _thoughts(blocks: Sequence[Block]) -> str:
    return "".join(block["thinking"] for block in blocks if block["type"] == "thinking")


def _calls(blocks: Sequence[Block]) -> tuple[Call, ...]:
    return tuple(
        Call(block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False))
        for block in blocks
        if block["type"] == "tool_use"
    )


def _result(block: Block) -> ToolResult:
    texts = _texts(block.get("content", ""))
    if block.get("is_error"):
        # Templates have no place for it, and a model has to know.
        texts = ["Error:", *texts]
    return ToolResult(block["tool_use_id"], text_parts(*texts))


def _texts(content: str | Sequence[Block]) -> list[str]:
    return [content] if isinstance(content, str) else [block["text"] for block in content]
