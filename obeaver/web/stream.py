"""Answers that take time: send them, or wait for them, while watching for the client to leave.

A server's `send` returns in silence after a disconnect (ASGI HTTP 2.3): only a task that awaits `receive` learns of it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from obeaver.web import ndjson, sse
from obeaver.web.request import ClientDisconnected, Request, wait_for_disconnect
from obeaver.web.response import raw_headers
from obeaver.web.types import Receive, Scope, Send

logger = logging.getLogger(__name__)

DEFAULT_KEEP_ALIVE_S = 10.0
"""Proxies and HTTP clients commonly give up after 30 to 60 s of silence."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Framing:
    """How the parts of a stream are told apart.

    Attributes:
        media_type: The stream's Content-Type.
        keep_alive: What may be sent in a silence; clients pass over it. Empty where there is no such thing.
    """

    media_type: str
    keep_alive: bytes


EVENTS: Final = Framing(f"{sse.MEDIA_TYPE}; charset=utf-8", sse.COMMENT)
LINES: Final = Framing(ndjson.MEDIA_TYPE, b"")


class EventStream:
    """Sends an iterator's chunks as a stream, of server-sent events if nothing else is said. An ASGI app.

    - The response starts with the first chunk, so that an error before it still becomes a status of its own; or with a
      keep-alive, when the first chunk takes longer than `keep_alive_s`.
    - Every chunk is sent as it comes, and the next one is asked for when the server has taken it: a slow reader slows
      the iterator. Joining chunks that wait is the iterator's own affair.
    - When the client leaves, or the request is cancelled, the iterator is cancelled where it waits and closed.
    - What the iterator raises goes on to the caller; the error boundary ends a stream that has begun with one event.

    Args:
        chunks: Whole events as bytes, in order. Nothing is sent for an empty one. Closed at the end, if it can be,
            also when it never ran.
        keep_alive_s: Seconds of silence after which a keep-alive is sent, where the framing has one.
        framing: How the chunks are framed already.
        headers: Further headers.

    Attributes:
        headers: All that it is sent with.

    Raises:
        ClientDisconnected: The client left before the end.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        keep_alive_s: float = DEFAULT_KEEP_ALIVE_S,
        framing: Framing = EVENTS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._chunks = chunks
        self._keep_alive_s = keep_alive_s
        self._keep_alive = framing.keep_alive
        self.headers = {
            "content-type": framing.media_type,
            "cache-control": "no-cache",
            # nginx and its like would hold events back to fill a buffer.
            "x-accel-buffering": "no",
            **{name.lower(): value for name, value in (headers or {}).items()},
        }

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it to its end."""
        writer = _StreamWriter(send, self.headers)
        pump = asyncio.create_task(self._pump(writer))
        left = asyncio.create_task(wait_for_disconnect(receive))
        try:
            await self._keep_alive_until_done(writer, pump, left)
            # A stream that ended in the moment in which the client left has ended.
            if not pump.done():
                raise ClientDisconnected
            pump.result()
        finally:
            await _cancel_and_wait(pump, left)
            await self._close_chunks()

    async def _pump(self, writer: "_StreamWriter") -> None:
        async for chunk in self._chunks:
            if chunk:
                await writer.write(chunk)
        await writer.end()

    async def _close_chunks(self) -> None:
        # Not in the pump: a task that is cancelled before its first step runs no `finally`.
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    async def _keep_alive_until_done(
        self, writer: "_StreamWriter", pump: asyncio.Task[None], left: asyncio.Task[None]
    ) -> None:
        timeout_s: float | None = self._keep_alive_s if self._keep_alive else None
        while True:
            done, _ = await asyncio.wait({pump, left}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            timeout_s = self._keep_alive_s - writer.silent_s
            if timeout_s <= 0:
                await writer.write(self._keep_alive)
                timeout_s = self._keep_alive_s


class _StreamWriter:
    """Sends the parts of one response, one at a time: the pump's chunks and the comments between them."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self.headers = headers
        self._turn = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._last_write_s = self._clock()
        self._started = False

    @property
    def silent_s(self) -> float:
        """Seconds since something was sent; 0 while something is being sent."""
        return 0.0 if self._turn.locked() else self._clock() - self._last_write_s

    async def write(self, chunk: bytes) -> None:
        async with self._turn:
            await self._write(chunk, more_body=True)

    async def end(self) -> None:
        async with self._turn:
            await self._write(b"", more_body=False)

    async def _write(self, chunk: bytes, *, more_body: bool) -> None:
        if not self._started:
            self._started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": raw_headers(self.headers)})
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more_body})
        self._last_write_s = self._clock()


async def run_until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, unless the client leaves first: then `work` is cancelled.

    Args:
        request: Its body has been read.
        work: What the client waits for.

    Raises:
        ClientDisconnected: The client left.
    """
    # In this order: once the work has been handed to a thread, the loop has nothing left to do that would delay it.
    left = asyncio.create_task(request.disconnected())
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnected
    finally:
        await _cancel_and_wait(task, left)


async def _cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, Exception):
            logger.warning("an abandoned answer failed while it was being closed", exc_info=result)
