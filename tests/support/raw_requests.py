"""HTTP over a plain socket: whole requests with the answers that they must get, and bytes that are none."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

HANG_S: Final = 300
"""Nobody waits so long, however busy the machine is."""

CHAT: Final = "/v1/chat/completions"
MAX_BODY_BYTES: Final = 4000
"""Of the server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, a body in chunks put together."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is right, and what is right for it.

    Attributes:
        method: In capitals.
        path: Where it goes.
        body: None for none.
        status: Of its answer.
        holds: What the answer's body must hold.
        headers: Further lines, each with its end.
    """

    method: str
    path: str
    body: bytes | None
    status: int
    holds: bytes
    headers: str = ""

    def sent(self, num_bytes_a_chunk: int | None) -> bytes:
        """The bytes of it; the body by its length, or in chunks."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self.headers}"
        if self.body is None:
            return f"{head}\r\n".encode()
        head += "Content-Type: application/json\r\n"
        if num_bytes_a_chunk is None:
            return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + _chunked(self.body, num_bytes_a_chunk)

    def is_answered_by(self, answer: Answer) -> bool:
        """Whether this is its answer."""
        return answer.status == self.status and self.holds in answer.body


def _chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [b"%X;a=b\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"".join(chunks) + b"0\r\nX-Trailer: a\r\n\r\n"


def _chat(**parameters: Any) -> bytes:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "ignore_eos": True}
    return json.dumps(body | parameters).encode()


ASKED: Final = (
    Asked("GET", "/health/live", None, 200, b'"status"'),
    Asked("GET", "/v1/models", None, 200, b'"small"'),
    Asked("HEAD", "/v1/models", None, 200, b""),
    Asked("GET", "/nothing", None, 404, b'"error"'),
    Asked("DELETE", "/v1/models", None, 405, b'"error"'),
    Asked("POST", CHAT, _chat(), 200, b'"completion_tokens":2'),
    Asked("POST", CHAT, _chat(), 200, b'"completion_tokens":2', "Expect: 100-continue\r\n"),
    Asked("POST", CHAT, _chat(), 200, b'"completion_tokens":2', "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    Asked("POST", CHAT, _chat(stream=True), 200, b"data: [DONE]"),
    Asked("POST", CHAT, _chat(temperature="hot"), 400, b'"temperature"'),
    Asked("POST", CHAT, b'{"messages": [', 400, b'"invalid_json"'),
    Asked("POST", CHAT, b" " * (MAX_BODY_BYTES + 1), 413, b'"error"'),
    Asked("POST", "/v1/tokenize", b'{"prompt": "abc"}', 200, b'"count"'),
)

_LINES: Final = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
MALFORMED: Final = (
    b"\r\n\r\nGET\r\n\r\n",
    b"GET /health/live\r\n\r\n",
    b"GET  /health/live  HTTP/1.1\r\n\r\n",
    b"GET /health/live HTTP/9.9\r\nHost: a\r\n\r\n",
    b"get /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /%zz%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://elsewhere/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\x00c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 20_000,
    _LINES + b"Content-Length: -1\r\n\r\n",
    _LINES + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    _LINES + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    _LINES + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _LINES + b"Transfer-Encoding: gzip\r\n\r\n{}",
    _LINES + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    _LINES + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
    _LINES + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}{}\r\n0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
"""What no server can understand, or what no honest client says."""


class RawConnection:
    """One connection to a port on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def answer(self, method: str) -> Answer:
        """The next whole answer, those of the statuses 1xx passed over.

        Raises:
            ConnectionError: The connection ends before its end.
            TimeoutError: It does not come.
        """
        while True:
            head = self._until(b"\r\n\r\n")
            status = int(head.split()[1])
            if status >= 200:
                return Answer(status, b"" if method == "HEAD" else self._body(head))

    def statuses_to_the_end(self) -> Iterator[int]:
        """Say that no more will be sent; the statuses of everything that still comes.

        Raises:
            TimeoutError: The server does not close.
        """
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while part := self._socket.recv(1 << 16):
                self._buffer += part
        except TimeoutError:
            raise
        except OSError:  # the server has closed already, with or without a goodbye
            pass
        yield from map(int, re.findall(rb"^HTTP/1\.1 (\d{3}) ", self._buffer, re.MULTILINE))

    def reset(self) -> None:
        """End without a goodbye: what was on its way is lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _body(self, head: bytes) -> bytes:
        if found := re.search(rb"^content-length: (\d+)\r$", head, re.MULTILINE | re.IGNORECASE):
            return self._exactly(int(found[1]))
        return b"".join(iter(self._chunk, b""))

    def _chunk(self) -> bytes:
        size = int(self._until(b"\r\n"), 16)
        return self._exactly(size + 2)[:-2]

    def _until(self, end: bytes) -> bytes:
        return self._taken(lambda: self._buffer.find(end) + len(end) if end in self._buffer else None)

    def _exactly(self, size: int) -> bytes:
        return self._taken(lambda: size if len(self._buffer) >= size else None)

    def _taken(self, num_bytes: Callable[[], int | None]) -> bytes:
        while (size := num_bytes()) is None:
            part = self._socket.recv(1 << 16)
            if not part:
                raise ConnectionError(f"the server closed behind {self._buffer!r}")
            self._buffer += part
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken
