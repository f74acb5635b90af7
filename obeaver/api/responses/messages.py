"""Items of a conversation as the core's messages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
from obeaver.api.responses.items import Item


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


def messages_of(instructions: str | None, items: Iterable[Item]) -> tuple[Message, ...]:
    """The messages that items are. Neighbouring ones of an assistant's are one turn, as chat templates have it.

    Args:
        instructions: What the model is told before all of them.
        items: In the form that `parse_items` gives them.
    """
    first = (SystemMessage(text_parts(instructions)),) if instructions else ()
    return *first, *_messages(items)


def _messages(items: Iterable[Item]) -> list[Message]:
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
            turn.thoughts += [part.text for part in _parts(item["content"] or item["summary"])]
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
    return text_parts(*(part["refusal" if part["type"] == "refusal" else "text"] for part in content))
