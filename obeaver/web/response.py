"""Responses: each is itself an ASGI app, sent in one piece."""

from collections.abc import Mapping
from urllib.parse import quote

from obeaver.errors import ApiError
from obeaver.web import json_codec
from obeaver.web.types import Message, Receive, Scope, Send

_BODILESS = frozenset({204, 304})


class Response:
    """A whole answer.

    Args:
        body: Sent as it is; left out for HEAD, whose headers still tell its length.
        status: HTTP status.
        headers: Further headers. Names are sent in lower case.
        media_type: Content-Type; the class's own if not given.
    """

    media_type: str | None = None

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        content_type = media_type or self.media_type
        if status not in _BODILESS:
            self.headers.setdefault("content-length", str(len(body)))
            if content_type is not None:
                self.headers.setdefault("content-type", content_type)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": raw_headers(self.headers)})
        body = b"" if scope["method"] == "HEAD" or self.status in _BODILESS else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


class JSONResponse(Response):
    """`data` as compact JSON. Raises ValueError for a number that is not finite, TypeError for what JSON has not."""

    media_type = "application/json"

    def __init__(self, data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(json_codec.encode(data), status=status, headers=headers)

    @classmethod
    def of_many(cls, data: object) -> "JSONResponse":
        """The same for data of very many values, made in a thread: other threads get their turns meanwhile."""
        response = cls(None)
        response.body = json_codec.encode_in_turns(data)
        response.headers["content-length"] = str(len(response.body))
        return response


class TextResponse(Response):
    """Plain text."""

    media_type = "text/plain; charset=utf-8"

    def __init__(
        self,
        text: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(text.encode(), status=status, headers=headers, media_type=media_type)


class HTMLResponse(TextResponse):
    """A page."""

    media_type = "text/html; charset=utf-8"


class Redirect(Response):
    """Go to `location`: 307 keeps the method, and no browser remembers it."""

    def __init__(self, location: str, *, status: int = 307) -> None:
        super().__init__(status=status, headers={"location": quote(location, safe=":/?#[]@!$&'()*+,;=%~")})


def error_response(error: ApiError) -> JSONResponse:
    """The answer that tells a client of an error."""
    return JSONResponse(error.body(), status=error.status, headers=error.headers)


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI sends them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def adding_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """A `send` that adds headers to the response, beside those of the same name that it has."""
    added = raw_headers(headers)

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_with_headers
