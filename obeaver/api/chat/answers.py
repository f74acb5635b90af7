"""A generation as a client gets it: one object, or a stream of chunks. Both say the same."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from obeaver.api.chat import wire
from obeaver.api.chat.request import ChatRequest
from obeaver.api.contract.wire import Object
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.endpoint import MakeObject
from obeaver.api.core.generation import Generation
from obeaver.api.core.head import Head
from obeaver.api.core.outputs import Ended, Output, Piece
from obeaver.api.core.usage import Usage
from obeaver.api.openai.generation import timings_fields
from obeaver.text.events import ContentDelta, ReasoningDelta, ToolCallArguments, ToolCallStart, join_events
from obeaver.web import sse


async def whole_answer(generation: Generation, head: Head, asked: ChatRequest) -> MakeObject:
    """Wait for all choices; what is returned words them.

    Args:
        generation: Submitted, not iterated yet.
        head: What the answer begins with.
        asked: What it is to tell.

    Raises:
        ApiError: The engine failed.
    """
    outputs = [output async for batch in generation for output in batch]
    logprobs = asked.sampling.num_logprobs is not None

    def make() -> Object:
        choices = [_whole_choice(choice.index, outputs, logprobs=logprobs) for choice in generation.choices]
        told = wire.completion(head, choices, generation.usage)
        return told | timings_fields(generation) if asked.timings else told

    return make


def _whole_choice(index: int, outputs: Sequence[Output], *, logprobs: bool) -> Object:
    mine = [output for output in outputs if output.choice == index]
    pieces = [output for output in mine if isinstance(output, Piece)]
    (reason,) = [output.finish_reason for output in mine if isinstance(output, Ended)]
    answer = join_events(piece.event for piece in pieces)
    calls = [wire.tool_call(call.id, call.name, call.arguments) for call in answer.tool_calls]
    entries = [entry for piece in pieces for entry in piece.logprobs] if logprobs else None
    return wire.choice(index, wire.message(answer.content, answer.reasoning, calls), reason, entries)


class ChatChunks(StreamWriter):
    """Chunks of a chat answer.

    Args:
        head: What every chunk begins with.
        include_usage: End with a chunk that has the usage.
        timed: The generation, where every chunk is to tell what it took.
    """

    def __init__(self, head: Head, *, include_usage: bool, timed: Generation | None = None) -> None:
        told = None if timed is None else partial(timings_fields, timed)
        self._text = wire.ChunkText(head, include_usage=include_usage, told=told)
        self._include_usage = include_usage
        self._begun: set[int] = set()

    def of(self, output: Output) -> bytes:
        """A piece, with its choice's role before the first one."""
        first = b"" if output.choice in self._begun else sse.event(self._role(output))
        self._begun.add(output.choice)
        if isinstance(output, Ended):
            return first + sse.event(self._text.finish(output.choice, output.finish_reason))
        return first + sse.event(self._piece(output))

    def end(self, usage: Usage) -> bytes:
        """The usage, where it was asked for, and the mark of the end."""
        return (sse.event(self._text.usage(usage)) if self._include_usage else b"") + sse.DONE

    def _role(self, output: Output) -> str:
        # Clients join contents: null stays null where only calls follow, as in the answer that is not streamed.
        only_calls = isinstance(output, Piece) and isinstance(output.event, ToolCallStart)
        return self._text.fields(output.choice, {"role": "assistant", "content": None if only_calls else ""})

    def _piece(self, piece: Piece) -> str:
        if not isinstance(piece.event, ContentDelta):
            return self._text.fields(piece.choice, _delta_fields(piece.event))
        if piece.logprobs:
            return self._text.content_with_logprobs(piece.choice, piece.event.text, piece.logprobs)
        return self._text.content(piece.choice, piece.event.text)


def _delta_fields(event: ReasoningDelta | ToolCallStart | ToolCallArguments) -> dict[str, Any]:
    if isinstance(event, ReasoningDelta):
        return wire.reasoning_fields(event.text)
    if isinstance(event, ToolCallStart):
        return {"tool_calls": [{"index": event.index, **wire.tool_call(event.id, event.name, "")}]}
    return {"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]}
