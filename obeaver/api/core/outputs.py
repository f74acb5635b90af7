"""What a generation says, piece by piece, and how pieces that wait become fewer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from obeaver.api.core.logprobs import ContentToken
from obeaver.text.events import ContentDelta, ReasoningDelta, TextEvent, ToolCallArguments, ToolCallStart

AnswerEnd: TypeAlias = Literal["stop", "length", "tool_calls"]
"""Why an answer ended: by itself or a stop string, at its limit, or with calls to be answered."""


@dataclass(slots=True)
class Piece:
    """Something that one choice has to say.

    Attributes:
        choice: Which choice.
        event: Text or a call.
        logprobs: Of the tokens that this content came from; empty where none were asked for.
    """

    choice: int
    event: TextEvent
    logprobs: list[ContentToken] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ended:
    """A choice has said everything.

    Attributes:
        choice: Which choice.
        finish_reason: Why it ended.
        stop_string: The stop string that ended it, if one did.
    """

    choice: int
    finish_reason: AnswerEnd
    stop_string: str | None = None


Output: TypeAlias = Piece | Ended


def joined(outputs: Sequence[Output]) -> list[Output]:
    """The outputs of one choice, neighbours of a kind made one."""
    result: list[Output] = []
    run: list[Piece] = []
    for output in outputs:
        if run and not (isinstance(output, Piece) and _same_kind(run[0].event, output.event)):
            result.append(_join_run(run))
            run = []
        if isinstance(output, Piece):
            run.append(output)
        else:
            result.append(output)
    return [*result, _join_run(run)] if run else result


def _same_kind(first: TextEvent, second: TextEvent) -> bool:
    if isinstance(first, ToolCallStart) or type(first) is not type(second):
        return False
    return not isinstance(first, ToolCallArguments) or first.index == getattr(second, "index", None)


def _join_run(run: Sequence[Piece]) -> Piece:
    if len(run) == 1:
        return run[0]
    logprobs = [entry for piece in run for entry in piece.logprobs]
    return Piece(run[0].choice, _join_events([piece.event for piece in run]), logprobs)


def _join_events(events: Sequence[TextEvent]) -> TextEvent:
    text = "".join(event.text for event in events if not isinstance(event, ToolCallStart))
    first = events[0]
    if isinstance(first, ToolCallArguments):
        return ToolCallArguments(first.index, text)
    return ContentDelta(text) if isinstance(first, ContentDelta) else ReasoningDelta(text)
