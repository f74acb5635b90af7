"""HTTP/1.1 on a connection: uvicorn's protocol on httptools, with obeaver's manners where those two fall short.

- What is no HTTP gets the same error object as everything else.
- A head that never ends is refused; the parser would keep it.
- An offer to switch protocols is declined by answering as if it had not been made (RFC 9110, section 7.8). The parser
  ends a message at such an offer, and the body would be lost: Java's own HTTP client makes one (h2c) with each POST.
"""

from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from obeaver.errors import BadRequest
from obeaver.web import json_codec

MAX_HEAD_BYTES: Final = 65_536
"""Request line and headers."""

_ABOUT_UPGRADES: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _num_head_bytes: int | None = 0
    """Bytes of the head that is being read; None within a body."""
    _is_offer = False
    """The head that was read offers to switch protocols."""

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._unset_keepalive_if_required()
        if self._num_head_bytes is not None:
            self._num_head_bytes += len(data)
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
        body = json_codec.encode(BadRequest(msg, code="invalid_http").body())
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

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
