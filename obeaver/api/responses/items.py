"""Items of a Responses request: rules that depend on their type, and the core's messages made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

Item = dict[str, Any]

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": (),
}
"""What an item of each type must have."""

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "input_text": ("system", "developer", "user", "assistant", "output"),
    "output_text": ("assistant", "output"),
    "refusal": ("assistant",),
    "reasoning_text": ("reasoning",),
    "summary_text": ("reasoning",),
}
"""Where a part of each type may stand: in messages of these roles, in the `output` of a call, or in `reasoning`."""


def parse_items(instructions: str | None, given: str | Sequence[Item]) -> tuple[Message, ...]:
    """The messages of a request that its schema accepts.

    Raises:
        BadRequest: Names the first item that is incomplete, or whose part is out of place.
    """
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    for index, item in enumerate(items):
        _check(item, f"input[{index}]")
    first = (SystemMessage(text_parts(instructions)),) if instructions else ()
    return *first, *_messages(items)


def _check(item: Item, path: str) -> None:
    for name in REQUIRED[item["type"]]:
        _require(item, name, path)
    match item["type"]:
        case "message":
            _check_parts(item["content"], item["role"], f"{path}.content")
        case "function_call_output":
            _check_parts(item["output"], "output", f"{path}.output")
        case "reasoning":
            for name in ("content", "summary"):
                _check_parts(item.get(name, ()), "reasoning", f"{path}.{name}")


def _check_parts(content: str | Sequence[Item], place: str, path: str) -> None:
    for index, part in enumerate(() if isinstance(content, str) else content):
        kind, where = part["type"], f"{path}[{index}]"
        if place not in PLACES[kind]:
            message = f'`{where}.type` must not be "{kind}" here.'
            raise BadRequest(message, param=f"{where}.type", code="invalid_value")
        _require(part, _text_name(kind), where)


def _require(value: Mapping[str, Any], name: str, path: str) -> None:
    if name not in value:
        where = f"{path}.{name}"
        raise BadRequest(f"`{where}` is required here.", param=where, code="missing_required_parameter")


@dataclass(slots=True)
class _Turn:
    """What one assistant thought, said and called, item by item."""

    thoughts: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def is_whole(self) -> bool:
        """Whether what is said or thought next is another turn's: while calls wait for their outputs, it is not."""
        return bool(self.parts) and not self.calls

    def message(self) -> AssistantMessage:
        return AssistantMessage(tuple(self.parts), "".join(self.thoughts), tuple(self.calls))


def _messages(items: Sequence[Item]) -> list[Message]:
    """Neighbouring items of an assistant's are one turn, as chat templates have it."""
    messages: list[Message] = []
    turn: _Turn | None = None
    for item in items:
        is_call = item["type"] == "function_call"
        if turn is not None and (not _is_assistants(item) or (turn.is_whole() and not is_call)):
            messages.append(turn.message())
            turn = None
        if _is_assistants(item):
            turn = turn or _Turn()
            _add(turn, item)
        else:
            messages.append(_message(item))
    return messages if turn is None else [*messages, turn.message()]


def _is_assistants(item: Item) -> bool:
    return item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant"


def _add(turn: _Turn, item: Item) -> None:
    match item["type"]:
        case "reasoning":
            turn.thoughts += [part.text for part in _parts(item.get("content") or item.get("summary") or ())]
        case "function_call":
            turn.calls.append(Call(item["call_id"], item["name"], item["arguments"]))
        case _:
            turn.parts += _parts(item["content"])


def _message(item: Item) -> Message:
    if item["type"] == "function_call_output":
        return ToolResult(item["call_id"], _parts(item["output"]))
    parts = _parts(item["content"])
    return UserMessage(parts) if item["role"] == "user" else SystemMessage(parts)


def _parts(content: str | Sequence[Item]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return text_parts(content) if content else ()
    return text_parts(*(part[_text_name(part["type"])] for part in content))


def _text_name(kind: str) -> str:
    return "refusal" if kind == "refusal" else "text"
