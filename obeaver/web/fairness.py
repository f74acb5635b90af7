"""Layers that keep one client, or one request, from taking everything: ClientLimit and Deadline."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from obeaver.errors import TimedOut, TooManyRequests
from obeaver.web.request import CALLER_KEY
from obeaver.web.types import ASGIApp, Receive, Scope, Send

OWN_PACE: Final = ("/api/models/", "/api/pull")
"""Paths below which requests take as long as they take: models that are loaded or fetched."""


class ClientLimit:
    """Refuses more requests at a time from one client than there may be. Who only looks (GET) is not counted.

    A client is whoever `ApiKey` found to have the same key, or where it asked for none, whoever has the same address. A
    key that nobody asked for is not believed: a client that sends another one each time would have no limit.

    Args:
        app: The next layer.
        most: Requests of one client that are being answered.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what is within the limit.

        Raises:
            TooManyRequests: The client has too many open.
        """
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        client = _client_of(scope)
        if self._open[client] >= self._most:
            raise TooManyRequests(f"This client has {self._most} requests open already; wait for one of them to end.")
        self._open[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]


class Deadline:
    """Ends answers that take too long, with an error.

    Args:
        app: The next layer.
        limit_s: From the request's head to the answer's end.
        own_pace: Paths below which there is no limit.
    """

    def __init__(self, app: ASGIApp, *, limit_s: float, own_pace: Sequence[str] = OWN_PACE) -> None:
        self._app = app
        self._limit_s = limit_s
        self._own_pace = tuple(own_pace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in time.

        Raises:
            TimedOut: The time is over; what was being done was cancelled.
        """
        if scope["method"] != "POST" or scope["path"].startswith(self._own_pace):
            await self._app(scope, receive, send)
            return
        deadline = asyncio.timeout(self._limit_s)
        try:
            async with deadline:
                await self._app(scope, receive, send)
        except TimeoutError:
            if deadline.expired():
                raise TimedOut(f"The answer took longer than {self._limit_s:g} s.") from None
            raise


def _client_of(scope: Scope) -> str:
    return str(scope.get(CALLER_KEY) or (scope.get("client") or ("",))[0])
