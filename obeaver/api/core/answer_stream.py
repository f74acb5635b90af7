"""A generation as a stream of bytes, in whatever words a dialect has for its events."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from obeaver.api.core.generation import Generation
from obeaver.api.core.outputs import Output
from obeaver.api.core.usage import Usage
from obeaver.errors import ApiError
from obeaver.web.stream import EVENTS, Framing


class StreamWriter(ABC):
    """A dialect's words for the events of one generation: each method gives whole events or lines, or nothing.

    Attributes:
        framing: What a stream of this dialect is.
    """

    framing: ClassVar[Framing] = EVENTS

    def begin(self) -> bytes:
        """Before anything has come of the model. A dialect that says nothing here can still answer with a status."""
        return b""

    @abstractmethod
    def of(self, output: Output) -> bytes:
        """A piece of output, or the end of a choice."""

    async def settle(self, usage: Usage, error: ApiError | None) -> None:  # noqa: B027  # most have nothing to do
        """Do what must be done before a client hears of the end: `end` comes next, or `failed` if there is an error."""

    @abstractmethod
    def end(self, usage: Usage) -> bytes:
        """After the end of all choices."""

    def failed(self, _error: ApiError) -> bytes:
        """The generation has failed. The route's error shape has the very last word, after this."""
        return b""


class AnswerStream:
    """The events of a streamed answer, as an asynchronous iterator of bytes.

    What comes at once goes out at once: one item may hold several events. It is no generator, since closing a generator
    that was never iterated runs nothing of it, and the engine would compute on.

    Args:
        generation: Submitted, not iterated yet; closed with the stream.
        writer: Words the events.
    """

    def __init__(self, generation: Generation, writer: StreamWriter) -> None:
        self._generation = generation
        self._writer = writer
        self._begun = False
        self._ended = False
        self._error: ApiError | None = None

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> bytes:
        """The next events.

        Raises:
            ApiError: The engine failed.
        """
        if not self._begun:
            self._begun = True
            if beginning := self._writer.begin():
                return beginning
        if self._error is not None:
            raise self._error
        if self._ended:
            raise StopAsyncIteration
        try:
            batch = await anext(self._generation)
        except StopAsyncIteration:
            self._ended = True
            await self._writer.settle(self._generation.usage, None)
            return self._writer.end(self._generation.usage)
        except ApiError as error:
            self._error = error
            await self._writer.settle(self._generation.usage, error)
            return self._writer.failed(error) or await anext(self)
        if self._generation.batch_is_long:
            return await asyncio.to_thread(self._worded, batch)
        return self._worded(batch)

    def _worded(self, batch: Iterable[Output]) -> bytes:
        return b"".join(map(self._writer.of, batch))

    async def aclose(self) -> None:
        """Nobody reads on."""
        await self._generation.aclose()
