"""A generation as Ollama's clients get it: one object, or lines that add up to it."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from obeaver.api.contract import wire
from obeaver.api.core.answer_stream import StreamWriter
from obeaver.api.core.blocks import BlockDelta, BlockEnded, BlockEvent, Blocks, arguments_object
from obeaver.api.core.endpoint import MakeObject
from obeaver.api.core.generation import Generation
from obeaver.api.core.outputs import Ended, Output
from obeaver.api.core.usage import Usage
from obeaver.api.ollama.names import tagged_name
from obeaver.web import ndjson
from obeaver.web.stream import LINES, Framing

DONE_REASONS: Final = {"stop": "stop", "length": "length", "tool_calls": "stop"}
"""Ollama's words for the ends of answers."""


def timestamp(seconds: float) -> str:
    """A moment as Ollama writes it.

    Args:
        seconds: Since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Clocks:
    """What times an answer.

    Attributes:
        begun_ns: When the request began, by `now_ns`.
        now_ns: Nanoseconds, monotonic.
        wall: Seconds since 1970.
    """

    begun_ns: int
    now_ns: Callable[[], int]
    wall: Callable[[], float]


class Lines(StreamWriter):
    """Lines of an answer.

    Args:
        model: Who answers.
        clocks: Time it.
    """

    framing: ClassVar[Framing] = LINES

    def __init__(self, model: str, clocks: Clocks) -> None:
        self._model = tagged_name(model)
        self._clocks = clocks
        self._blocks = Blocks()
        self._first_ns: int | None = None
        self._ended: Ended | None = None

    def of(self, output: Output) -> bytes:
        """A line for each piece of text, and for each call that is whole."""
        if self._first_ns is None:
            self._first_ns = self._clocks.now_ns()
        if isinstance(output, Ended):
            self._ended = output
        return b"".join(ndjson.line(self._line(fields)) for fields in map(fields_of, self._blocks.of(output)) if fields)

    def end(self, usage: Usage) -> bytes:
        """The figures."""
        return ndjson.line(self.last(usage))

    def last(self, usage: Usage, **fields: Any) -> wire.Object:
        """The line that ends an answer.

        Args:
            usage: Tokens.
            fields: What the answer said, for the object that is the whole of it.
        """
        reason = DONE_REASONS["stop" if self._ended is None else self._ended.finish_reason]
        return self._line(fields) | {"done": True, "done_reason": reason} | self._figures(usage)

    def _line(self, fields: dict[str, Any]) -> wire.Object:
        head = {"model": self._model, "created_at": timestamp(self._clocks.wall())}
        return {**head, **self.worded(fields), "done": False}

    @abstractmethod
    def worded(self, fields: dict[str, Any]) -> wire.Object:
        """Content, thoughts and calls where this endpoint has them."""

    def _figures(self, usage: Usage) -> wire.Object:
        begun, now = self._clocks.begun_ns, self._clocks.now_ns()
        first = now if self._first_ns is None else self._first_ns
        return {
            "total_duration": now - begun,
            "load_duration": 0,
            "prompt_eval_count": usage.prompt,
            "prompt_eval_duration": first - begun,
            "eval_count": usage.completion,
            "eval_duration": now - first,
        }


class ChatLines(Lines):
    """Lines of `/api/chat`."""

    def worded(self, fields: dict[str, Any]) -> wire.Object:
        """A message."""
        return {"message": {"role": "assistant", "content": "", **fields}}


class GenerateLines(Lines):
    """Lines of `/api/generate`."""

    def worded(self, fields: dict[str, Any]) -> wire.Object:
        """A response."""
        thinking = {"thinking": fields["thinking"]} if "thinking" in fields else {}
        return {"response": fields.get("content", ""), **thinking}


async def whole(generation: Generation, lines: Lines) -> MakeObject:
    """Wait for the whole answer; what is returned words it.

    Args:
        generation: Submitted, not iterated yet.
        lines: Word it.

    Raises:
        ApiError: The engine failed.
    """
    blocks = Blocks()
    said: dict[str, Any] = {}
    async for batch in generation:
        for output in batch:
            lines.of(output)
            for event in blocks.of(output):
                _add(said, fields_of(event))
    return lambda: lines.last(generation.usage, **said)


def fields_of(event: BlockEvent) -> dict[str, Any]:
    """What an event adds to a message; nothing where it only marks a place."""
    match event:
        case BlockDelta(block, text) if block.kind == "text":
            return {"content": text}
        case BlockDelta(block, text) if block.kind == "reasoning":
            return {"thinking": text}
        case BlockEnded(block, text) if block.kind == "call":
            call = {"id": block.call_id, "function": {"name": block.name, "arguments": arguments_object(text)}}
            return {"tool_calls": [call]}
    return {}


def _add(said: dict[str, Any], fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        said[name] = said[name] + value if name in said else value
