"""Responses that are made in the background: who asked for one may leave, look at it later, listen to it, or end it.

While it is made, a response is known to the server that makes it. On the disk it is a failed one until then, so that it
is told as what it is if that server is killed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from obeaver.api.contract.wire import Object
from obeaver.api.core.answer_stream import AnswerStream
from obeaver.api.core.generation import Generation
from obeaver.api.responses.answers import Answer, ResponseEvents
from obeaver.errors import ApiError, InternalError, Unavailable
from obeaver.web.background import BackgroundWork

NUM_KEPT: Final = 16
"""Responses that can be listened to again after their end: a client that lost its connection comes back soon."""

_EVENT_END: Final = b"\n\n"


class BackgroundResponse:
    """One response in the making.

    Args:
        owner: Who asked for it.
        generation: Submitted, not iterated yet.
        answer: What it becomes.
    """

    def __init__(self, owner: str, generation: Generation, answer: Answer) -> None:
        self.owner = owner
        self._generation: Generation | None = generation
        self._answer = answer
        self._events: list[bytes] = []
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and was stored."""
        return self._generation is None

    @property
    def response(self) -> Object:
        """The response as it stands."""
        return self._answer.response()

    async def run(self) -> None:
        """Make it."""
        generation, writer = self._generation, ResponseEvents(self._answer)
        if generation is None:
            return
        stream = AnswerStream(generation, writer)
        try:
            async for chunk in stream:
                self._add(chunk)
        except ApiError:
            pass  # its last event has told it
        except BaseException as reason:
            error = _told(reason)
            await writer.settle(generation.usage, error)
            self._add(writer.failed(error))
            raise
        finally:
            await stream.aclose()
            # Else it would hold a model that is long gone.
            self._generation = None
            self._tell()

    async def cancel(self) -> None:
        """End it, and wait until that is stored; one that has ended stays as it is."""
        self._answer.cancel()
        if self._generation is not None:
            self._generation.cancel()
        while not self.is_over:
            await self._changed.wait()

    async def events(self, first: int = 0) -> AsyncIterator[bytes]:
        """Its events from this number on, those that are there and those that come."""
        while True:
            changed, is_over = self._changed, self.is_over
            if first < len(self._events):
                chunk = b"".join(self._events[first:])
                first = len(self._events)
                yield chunk
            elif is_over:
                return
            else:
                await changed.wait()

    def _add(self, chunk: bytes) -> None:
        self._events += [event + _EVENT_END for event in chunk.split(_EVENT_END) if event]
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _told(reason: BaseException) -> ApiError:
    if isinstance(reason, asyncio.CancelledError):
        return Unavailable("The server ended this response because it is shutting down.")
    return InternalError("This response could not be made.")


class BackgroundResponses:
    """Those of a server: all that are being made, and the latest that have ended.

    Args:
        work: Runs them.
    """

    def __init__(self, work: BackgroundWork) -> None:
        self._work = work
        self._responses: dict[str, BackgroundResponse] = {}

    def start(self, response: BackgroundResponse) -> None:
        """Make this one."""
        ended = [response_id for response_id, other in self._responses.items() if other.is_over]
        for response_id in ended[: max(0, len(ended) - NUM_KEPT)]:
            del self._responses[response_id]
        self._responses[response.response["id"]] = response
        self._work.start(response.run)

    def find(self, response_id: str, owner: str) -> BackgroundResponse | None:
        """The one of this id, if there is one and it is this owner's."""
        found = self._responses.get(response_id)
        return found if found is not None and found.owner == owner else None

    def is_under_way(self, response_id: str, owner: str) -> bool:
        """Whether there is one, and it has not ended."""
        found = self.find(response_id, owner)
        return found is not None and not found.is_over

    async def forget(self, response_id: str, owner: str) -> None:
        """End the one of this id, and know nothing of it any more."""
        found = self.find(response_id, owner)
        if found is not None:
            await found.cancel()
            self._responses.pop(response_id, None)
