"""A proxy whose hook sees every request and decides the bytes of the answer; `/@LABEL` before a path is for it."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conformance.http_bytes import Request, Response

Hook = Callable[[str, Request], bytes]
"""From a label, or an empty string, and a request to a whole HTTP response."""

_LABEL = re.compile(r"/@([^/]+)")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding", "te"}


def response_bytes(response: Response, content_length: int | None = None) -> bytes:
    """A response as a message that closes its connection.

    Args:
        response: Its own framing headers are replaced.
        content_length: What the header says, where that is not to be the truth.
    """
    length = len(response.body) if content_length is None else content_length
    headers = [(name, value) for name, value in response.headers if name not in HOP_BY_HOP]
    headers += [("connection", "close"), ("content-length", str(length))]
    if response.status in {204, 304}:
        headers.pop()
    lines = [f"HTTP/1.1 {response.status} ", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + response.body


@contextlib.contextmanager
def proxy(hook: Hook) -> Iterator[str]:
    """Listen on a free port until the block ends; gives the base URL, without a path."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            label, target = split_label(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            # A client may have gone before its answer came.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(hook(label, Request(self.command, target, headers, body)))
            self.close_connection = True

        do_GET = do_POST = do_DELETE = do_OPTIONS = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def split_label(target: str) -> tuple[str, str]:
    """The label of a path, and the path without it."""
    found = _LABEL.match(target)
    return (found[1], target[found.end() :]) if found else ("", target)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
