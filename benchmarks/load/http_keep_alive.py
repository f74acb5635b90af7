"""The least that an HTTP client can be: JSON over one connection, so that the client's own time hardly counts."""

import asyncio
import json
import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class KeepAliveClient:
    """One connection to a server.

    Args:
        url: Scheme, host and port.
    """

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

    async def post(self, path: str, body: object) -> Any:
        """The JSON of a successful answer.

        Raises:
            RuntimeError: The status is not 200.
        """
        return _value(await self.post_bytes(path, json.dumps(body).encode()))

    async def post_bytes(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""
        self._writer.write(_request(self._host, self._port, path, body))
        status, length = _status_and_length(await self._reader.readuntil(b"\r\n\r\n"))
        return status, await self._reader.readexactly(length)


class BlockingClient:
    """The same without an event loop, whose turns would be a tenth of a short answer's time.

    Args:
        url: Scheme, host and port.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._socket = socket.create_connection((self._host, self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._reader.close()
        self._socket.close()

    def post(self, path: str, body: object) -> Any:
        """The JSON of a successful answer.

        Raises:
            RuntimeError: The status is not 200.
        """
        self._socket.sendall(_request(self._host, self._port, path, json.dumps(body).encode()))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._reader.readline()
            if not line:
                raise RuntimeError("the server has hung up")
            head += line
        status, length = _status_and_length(head)
        return _value((status, self._reader.read(length)))


def _request(host: str, port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _status_and_length(head: bytes) -> tuple[int, int]:
    text = head.decode("latin-1").lower()
    return int(text.split()[1]), int(text.split("content-length:")[1].split("\r\n")[0])


def _value(answer: tuple[int, bytes]) -> Any:
    status, body = answer
    if status != 200:
        raise RuntimeError(f"status {status}: {body[:300]!r}")
    return json.loads(body)
