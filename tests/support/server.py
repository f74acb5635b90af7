"""A real server on a free port, and a client that speaks raw bytes over its socket."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from obeaver.cli.http_protocol import HttpProtocol
from obeaver.web.types import ASGIApp


class _Server(uvicorn.Server):
    """uvicorn that tells when it listens, and leaves the process's signals to the test runner."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serve(
    app: ASGIApp, http: type[HttpProtocol] = HttpProtocol, *, idle_timeout_s: int = 5
) -> AsyncIterator[int]:
    """Run an app under uvicorn in the test's own event loop.

    Args:
        app: The application.
        http: The protocol of its connections.
        idle_timeout_s: How long a connection may wait for its next request.

    Yields:
        The port on 127.0.0.1.
    """
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=http,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=idle_timeout_s,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await server.ready.wait()
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


class Connection:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: str | bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(text.encode("latin-1") if isinstance(text, str) else text)
        await self.writer.drain()

    async def post(self, path: str, body: bytes, *headers: str) -> None:
        """Send a whole POST."""
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    async def response(self) -> tuple[int, bytes]:
        """Read one response with a Content-Length: status and body."""
        head = await self.head()
        match = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert match is not None, head
        return int(head.split()[1]), await self.reader.readexactly(int(match[1]))

    async def head(self) -> bytes:
        """Read a status line and headers."""
        async with asyncio.timeout(60):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def until(self, text: bytes) -> bytes:
        """Read until a text has come."""
        async with asyncio.timeout(60):
            return await self.reader.readuntil(text)

    def abort(self) -> None:
        """Close without a goodbye."""
        self.writer.transport.abort()


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Connection]:
    """A connection to a port on 127.0.0.1, closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
