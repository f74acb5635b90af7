"""A generation as a stream of bytes, whatever a dialect makes of its events."""

from typing import Protocol

from obeaver.api.contract import wire
from obeaver.api.core.generation import Generation
from obeaver.api.core.outputs import Output
from obeaver.web import sse


class Chunks(Protocol):
    """What a generation becomes on its way to a client who reads a stream: JSON texts, one for each event."""

    def of(self, output: Output) -> list[str]:
        """The chunks of one piece of output."""

    def last(self, usage: wire.Usage) -> list[str]:
        """The chunks after the end of all choices."""


class AnswerStream:
    """The events of a streamed answer, as an asynchronous iterator of bytes.

    What comes at once goes out at once: one item may hold several events. It is no generator, since closing a generator
    that was never iterated runs nothing of it, and the engine would compute on.

    Args:
        generation: Submitted, not iterated yet; closed with the stream.
        chunks: Words the events.
    """

    def __init__(self, generation: Generation, chunks: Chunks) -> None:
        self._generation = generation
        self._chunks = chunks
        self._ended = False

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> bytes:
        """The next events.

        Raises:
            ApiError: The engine failed.
        """
        if self._ended:
            raise StopAsyncIteration
        try:
            batch = await anext(self._generation)
        except StopAsyncIteration:
            self._ended = True
            return b"".join(map(sse.event, self._chunks.last(self._generation.usage))) + sse.DONE
        return b"".join(sse.event(chunk) for output in batch for chunk in self._chunks.of(output))

    async def aclose(self) -> None:
        """Nobody reads on."""
        await self._generation.aclose()
