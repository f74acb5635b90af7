"""Headers for what browsers make of answers that are no pages. Sources: WHATWG MIME Sniffing, 7; CSP Level 3."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from obeaver.web.response import raw_headers
from obeaver.web.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)
"""An answer is never taken for a page or a script, runs nothing if it is, and is kept by nobody on the way."""

_RAW: Final = tuple(raw_headers(SAFE_HEADERS))


class SafeAnswers:
    """Adds those of the headers that an answer does not have itself: pages and files have their own.

    Args:
        app: The next layer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                names = {name for name, _ in headers}
                message = {**message, "headers": [*headers, *(row for row in _RAW if row[0] not in names)]}
            await send(message)

        await self._app(scope, receive, send_safely)
