"""What a handler reads: one HTTP request over an ASGI scope and its `receive`."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from obeaver.errors import PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from obeaver.web import json_codec
from obeaver.web.types import Receive, Scope

INLINE_JSON_BYTES = 65_536
"""A longer body is decoded in a thread: 64 KiB take less than a millisecond."""

REQUEST_ID_KEY = "obeaver.request_id"
"""Where the scope holds the request's id."""

CALLER_KEY = "obeaver.caller"
"""Where the scope holds who calls."""

_JSON_TYPE = re.compile(r"application/(?:[\w.!#$&^-]+\+)?json", re.IGNORECASE)
_UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii"})


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may hold, and how long it may take to arrive.

    Attributes:
        num_bytes: Bytes; more are a 413. The default has room for a context of a million tokens as text.
        num_values: JSON values, names of members not counted; more are a 413.
        receive_timeout_s: Seconds from the first look at the body to its end; more are a 408.
    """

    num_bytes: int = 8 * 1024 * 1024
    num_values: int = json_codec.DEFAULT_MAX_VALUES
    receive_timeout_s: float = 60.0


DEFAULT_BODY_LIMITS = BodyLimits()


class ClientDisconnected(Exception):
    """The client has left: nobody reads an answer any more."""


class Request:
    """One request. Parts are worked out when they are asked for.

    Args:
        scope: ASGI's HTTP scope.
        receive: ASGI's receive; `body` and `disconnected` are its only readers.
        path_params: What the route's pattern matched, percent-decoded.
        limits: Of the body.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        *,
        path_params: Mapping[str, str] | None = None,
        limits: BodyLimits = DEFAULT_BODY_LIMITS,
    ) -> None:
        self.scope = scope
        self.path_params = dict(path_params or {})
        self._receive = receive
        self._limits = limits
        self._body: bytes | None = None

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return str(self.scope["path"])

    @property
    def request_id(self) -> str:
        """The id that the answer's `x-request-id` carries; empty where nothing has set one."""
        return str(self.scope.get(REQUEST_ID_KEY, ""))

    @property
    def caller(self) -> str:
        """Who calls: a digest of the API key that it has; empty where none is asked for."""
        return str(self.scope.get(CALLER_KEY, ""))

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name; values of repeated ones joined by a comma."""
        return read_headers(self.scope)

    @cached_property
    def query(self) -> Mapping[str, str]:
        """Query parameters; of repeated ones the last."""
        text = self.scope.get("query_string", b"").decode("latin-1")
        return dict(parse_qsl(text, keep_blank_values=True))

    async def body(self) -> bytes:
        """The whole body, read once and kept.

        Raises:
            PayloadTooLarge: It is longer than the limit, by its Content-Length (then nothing is read) or by count.
            RequestTimeout: It does not arrive in time.
            ClientDisconnected: The client left before its end.
        """
        if self._body is None:
            self._refuse_declared_length()
            self._body = await self._body_in_time()
        return self._body

    async def json(self) -> object:
        """The body's JSON value.

        Raises:
            UnsupportedMediaType: Content-Type names something else than JSON, or the body is compressed.
            BadRequest: code `invalid_json`.
            PayloadTooLarge: As for `body`, or it holds too many values.
            ClientDisconnected: As for `body`.
        """
        self._refuse_other_media()
        body = await self.body()
        if len(body) <= INLINE_JSON_BYTES:
            return json_codec.decode(body, max_values=self._limits.num_values)
        return await asyncio.to_thread(json_codec.decode, body, max_values=self._limits.num_values)

    async def disconnected(self) -> None:
        """Return when the client has left. Call it after the body was read: what comes before is thrown away."""
        await wait_for_disconnect(self._receive)

    def _refuse_declared_length(self) -> None:
        declared = self.headers.get("content-length", "")
        # Twenty digits are beyond every limit, and int() is quick with them.
        if declared.isascii() and declared.isdecimal() and int(declared[:20]) > self._limits.num_bytes:
            raise self._too_large()

    async def _body_in_time(self) -> bytes:
        limit_s = self._limits.receive_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._read_body()
        except TimeoutError:
            # The rest of the body would be taken for the next request.
            raise RequestTimeout(
                f"The request's body took longer than {limit_s:g} s.", headers={"Connection": "close"}
            ) from None

    async def _read_body(self) -> bytes:
        parts: list[bytes] = []
        num_bytes = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            part: bytes = message.get("body", b"")
            num_bytes += len(part)
            if num_bytes > self._limits.num_bytes:
                raise self._too_large()
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _refuse_other_media(self) -> None:
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Content-Encoding is not supported: send the body uncompressed.")
        declared = self.headers.get("content-type")
        if declared is not None and not _is_json(declared):
            raise UnsupportedMediaType("The body must be JSON in UTF-8: send Content-Type: application/json.")

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body is larger than this server accepts ({self._limits.num_bytes} bytes).")


async def wait_for_disconnect(receive: Receive) -> None:
    """Read messages until the one that says that the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def read_headers(scope: Scope) -> dict[str, str]:
    """A scope's headers by lower-case name; values of repeated ones joined by a comma (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    return _JSON_TYPE.fullmatch(media_type) is not None and all(map(_is_utf8_charset, parameters))


def _is_utf8_charset(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip().lower() != "charset" or value.strip().strip('"').lower() in _UTF8_NAMES
