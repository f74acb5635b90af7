"""What comes out of the text layer: the events of one answer, and the whole answer made of them.

A streamed answer sends the events as they come; one that is not streamed joins the very same events with `join_events`.
Both are therefore the same answer by construction.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """Text for the user. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Text from between the model's think markers. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """The model calls a function.

    Attributes:
        index: Place of the call among the answer's calls, from 0.
        id: Unique, made by the server: `call_` and 24 letters and digits.
        name: One of the names that the request offered.
    """

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArguments:
    """The next piece of a call's arguments, which joined are JSON text. Never empty."""

    index: int
    text: str


TextEvent: TypeAlias = ContentDelta | ReasoningDelta | ToolCallStart | ToolCallArguments


@dataclass(slots=True)
class ToolCall:
    """A whole call."""

    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)


def join_events(events: Iterable[TextEvent]) -> Answer:
    """The answer that these events tell, piece by piece."""
    answer = Answer()
    for event in events:
        match event:
            case ContentDelta(text):
                answer.content += text
            case ReasoningDelta(text):
                answer.reasoning += text
            case ToolCallStart(_, call_id, name):
                answer.tool_calls.append(ToolCall(call_id, name))
            case ToolCallArguments(index, text):
                answer.tool_calls[index].arguments += text
    return answer
