"""Open pages of the dashboard, as far as the server meets them.

Each reads the engine's events, and asks for memory and health as often as the page does. It costs as little as it can,
so that what it takes from the streams is the server's share.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

POLLS_S = {"/api/system/memory": 3.0, "/health": 8.0}
"""How often a page asks that hears the engine's events meanwhile (`static/js/health.js`)."""


class Pages:
    """Pages that are open in this process, in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._num_bytes = 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def open(self, url: str, count: int) -> int:
        """Open so many; returns how many there are."""

        async def begin() -> int:
            self._tasks += [asyncio.create_task(self._page(url, number / count)) for number in range(count)]
            return len(self._tasks)

        return asyncio.run_coroutine_threadsafe(begin(), self._loop).result()

    def close(self) -> int:
        """Close all; returns the bytes that they were sent."""

        async def end() -> int:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks.clear()
            num_bytes, self._num_bytes = self._num_bytes, 0
            return num_bytes

        return asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    async def _page(self, url: str, phase: float) -> None:
        polls = (self._poll(url, path, phase * every_s, every_s) for path, every_s in POLLS_S.items())
        await asyncio.gather(self._listen(url), *polls)

    async def _listen(self, url: str) -> None:
        async with _connection(url) as (reader, writer):
            writer.write(_request(url, "/api/engine?stream=true"))
            while data := await reader.read(65536):
                self._num_bytes += len(data)

    async def _poll(self, url: str, path: str, first_s: float, every_s: float) -> None:
        await asyncio.sleep(first_s)
        async with _connection(url) as (reader, writer):
            while True:
                writer.write(_request(url, path))
                self._num_bytes += len(await reader.read(65536))
                await asyncio.sleep(every_s)


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, closed at the end."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _request(url: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()
