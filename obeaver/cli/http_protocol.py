"""HTTP/1.1 on a connection: uvicorn's protocol on httptools, with obeaver's manners where those two fall short.

- What is no HTTP gets the same error object as everything else.
- A head that never ends is refused; the parser would keep it.
- A client that sends its head too slowly is refused, and one that reads nothing of what waits for it is cut off: either
  would hold its connection, and the second an answer's memory, for good. Cut off is first the answer: the application
  hears of it as an error of `send`, and its last words wait behind what is unread. A client that still does not read
  loses its connection.
- An offer to switch protocols is declined by answering as if it had not been made (RFC 9110, section 7.8). The parser
  ends a message at such an offer, and the body would be lost: Java's own HTTP client makes one (h2c) with each POST.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from obeaver.errors import ApiError, BadRequest, RequestTimeout, Unavailable
from obeaver.web import json_codec

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES: Final = 65_536
"""Request line and headers."""

SEND_BUFFER_BYTES: Final = 131_072
"""What the kernel keeps for a client; Linux takes twice of it."""

_WRITE_TIMEOUT: Final = "write_timeout"

_ABOUT_UPGRADES: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})


class _CutFlow(FlowControl):
    """Flow control that can end the wait of whoever is writing with an error."""

    _error: ApiError | None = None

    def cut(self, error: ApiError) -> None:
        """Let `drain` raise this, once, now or when it is called next; what is written after that does not wait."""
        self._error = error
        self._is_writable_event.set()

    @property
    def is_cut(self) -> bool:
        """Whether the error is still to be raised."""
        return self._error is not None

    async def drain(self) -> None:
        """Wait until the client has read enough.

        Raises:
            ApiError: It has not.
        """
        await super().drain()
        error, self._error = self._error, None
        if error is not None:
            super().resume_writing()
            raise error

    def resume_writing(self) -> None:
        """The client has read."""
        self._error = None
        super().resume_writing()


class HttpProtocol(HttpToolsProtocol):
    """One connection. `with_limits` makes the class that a server uses."""

    receive_timeout_s: ClassVar[float] = 60.0
    """From a head's first byte, or from the connection's beginning, to the head's end."""
    write_timeout_s: ClassVar[float] = 60.0
    """For which a client may read nothing while something waits for it; once more behind the answer's last words."""

    _hearers: ClassVar[tuple[Callable[[str], None], ...]] = ()
    """Hear the code of what no application hears of."""
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _cut_flow: _CutFlow
    _num_head_bytes: int | None = 0
    """Bytes of the head that is being read; None within a body."""
    _is_offer = False
    """The head that was read offers to switch protocols."""

    @classmethod
    def with_limits(
        cls, *, receive_timeout_s: float, write_timeout_s: float, on_refusal: Callable[[str], None] | None = None
    ) -> type["HttpProtocol"]:
        """The protocol of a server with these limits; `on_refusal` hears the code of what no application hears of."""
        limits = {"receive_timeout_s": receive_timeout_s, "write_timeout_s": write_timeout_s}
        hearers = () if on_refusal is None else (on_refusal,)
        return type("LimitedHttpProtocol", (cls,), {**limits, "_hearers": hearers})

    def connection_made(self, transport: Any) -> None:
        """A client is here; it has to say something."""
        super().connection_made(transport)
        self.flow = self._cut_flow = _CutFlow(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            # Else the kernel takes megabytes for a client that reads nothing, and its row computes on meanwhile.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head_timer = _stopped(self._head_timer)
        self._write_timer = _stopped(self._write_timer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_timeout_s, self._cut_answer)

    def resume_writing(self) -> None:
        """It has read."""
        self._write_timer = _stopped(self._write_timer)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._unset_keepalive_if_required()
        if self._num_head_bytes is not None:
            self._num_head_bytes += len(data)
            self._expect_head()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        else:
            if (self._num_head_bytes or 0) > MAX_HEAD_BYTES:
                self.send_400_response(f"The request's head is longer than {MAX_HEAD_BYTES:,} bytes.")

    def on_headers_complete(self) -> None:
        """The body follows, unless the parser takes it for another protocol."""
        self._num_head_bytes = None
        self._head_timer = _stopped(self._head_timer)
        self._is_offer = self.parser.should_upgrade()
        if not self._is_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head follows."""
        self._num_head_bytes = 0
        if not self._is_offer:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell of bytes that are no HTTP request, and close."""
        self._refuse(BadRequest(msg, code="invalid_http"))

    def _refuse(self, error: ApiError) -> None:
        self._tell(error.code or error.type)
        body = json_codec.encode(error.body())
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _tell(self, code: str) -> None:
        for hear in self._hearers:
            hear(code)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.receive_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._num_head_bytes:
            self._refuse(RequestTimeout(f"The request's head took longer than {self.receive_timeout_s:g} s."))
        else:
            self.transport.close()

    def _cut_answer(self) -> None:
        logger.warning("a client that read nothing for %g s was cut off", self.write_timeout_s)
        if self.cycle is None or self.cycle.response_complete:
            self._tell(_WRITE_TIMEOUT)
            self._cut_connection()
            return
        message = f"The client read nothing for {self.write_timeout_s:g} s, so its answer was ended."
        self._cut_flow.cut(Unavailable(message, code=_WRITE_TIMEOUT))
        self._write_timer = self.loop.call_later(self.write_timeout_s, self._cut_connection)

    def _cut_connection(self) -> None:
        self._write_timer = None
        if self._cut_flow.is_cut:
            self._tell(_WRITE_TIMEOUT)
        # Not `close`, which waits until all has been read.
        self.transport.abort()

    def _decline(self, rest: bytes) -> None:
        """Read the head again without its offer, and then what stands behind it."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("This server is no proxy.")
            return
        version = self.parser.get_http_version().encode("ascii")
        lines = [method + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name not in _ABOUT_UPGRADES]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
