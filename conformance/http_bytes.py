"""HTTP/1.1 as bytes: one request on one connection, and everything that came back, even what a client would not read.

An ordinary client stops at `Content-Length` and so never sees what a server sent beyond it. Source: RFC 9112.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 300.0


class NoAnswer(Exception):
    """The server could not be reached, or what it sent is no HTTP response."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back.

    Attributes:
        status: Of the status line.
        headers: In their order, names in lower case.
        body: With transfer coding undone.
        problems: What is wrong with the message itself, as sentences.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    problems: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key == name.lower()), None)


def send(base_url: str, request: Request, timeout_s: float = TIMEOUT_S) -> Response:
    """Send a request and read until the server closes the connection.

    Args:
        base_url: Scheme, host, port and possibly a path that goes before the target.
        request: `Host`, `Content-Length` and `Connection: close` are added.
        timeout_s: Longest silence.

    Raises:
        NoAnswer: There is no response.
    """
    url = urlsplit(base_url)
    if url.scheme != "http" or url.hostname is None:
        raise NoAnswer(f"{base_url} is no http:// address; put a proxy in front of a server that needs TLS")
    head = {"host": url.netloc, "connection": "close"}
    head |= {name.lower(): value for name, value in request.headers.items()}
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        head["content-length"] = str(len(request.body))
    lines = [f"{request.method} {url.path.rstrip('/')}{request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    message = "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body
    try:
        with socket.create_connection((url.hostname, url.port or 80), timeout=timeout_s) as connection:
            connection.sendall(message)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        raise NoAnswer(f"{request.method} {base_url}{request.target}: {error}") from error
    return read_response(received, request.method)


def read_response(received: bytes, method: str = "GET") -> Response:
    """The response that some bytes are.

    Raises:
        NoAnswer: They are none.
    """
    head, found, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not found or not version.startswith("HTTP/1.") or not status[:3].isdigit():
        raise NoAnswer(f"this is no HTTP response: {received[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    body, problems = _body(rest, dict(headers), has_body=method != "HEAD" and status[:3] not in {"204", "304"})
    return Response(int(status[:3]), headers, body, tuple(problems))


def _body(rest: bytes, headers: Mapping[str, str], *, has_body: bool) -> tuple[bytes, list[str]]:
    if not has_body:
        return b"", [f"{len(rest)} bytes follow a response that has no body"] if rest else []
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _unchunked(rest)
    if "content-length" in headers:
        length = headers["content-length"]
        if length.isdigit() and int(length) == len(rest):
            return rest, []
        return rest, [f"Content-Length is {length} and the body has {len(rest)} bytes"]
    return rest, []


def _unchunked(rest: bytes) -> tuple[bytes, list[str]]:
    pieces: list[bytes] = []
    while True:
        line, found, rest = rest.partition(b"\r\n")
        try:
            length = int(line.split(b";")[0], 16)
        except ValueError:
            return b"".join(pieces), [f"a chunk begins with {line[:20]!r} instead of its length"]
        if not found or len(rest) < length + 2:
            return b"".join([*pieces, rest[:length]]), ["the connection closed inside a chunk"]
        if length == 0:
            return b"".join(pieces), [] if rest == b"\r\n" else ["bytes follow the last chunk"]
        pieces.append(rest[:length])
        rest = rest[length + 2 :]
