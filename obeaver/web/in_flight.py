"""Stopping with grace: who is being answered, refusing newcomers, an end for those who take too long."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from obeaver.errors import Unavailable
from obeaver.web.types import ASGIApp, Receive, Scope, Send


class InFlight:
    """The requests that are being answered.

    Each of them runs under a deadline, which is never until `drain` sets it. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._deadlines: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._deadlines)

    @property
    def current(self) -> frozenset[object]:
        """One object for each, the same as long as it lasts."""
        return frozenset(self._deadlines)

    @property
    def draining(self) -> bool:
        """Whether newcomers are refused."""
        return self._draining

    @asynccontextmanager
    async def track(self) -> AsyncIterator[None]:
        """Count the body of this context as one request.

        Raises:
            Unavailable: Its deadline has come; the body was cancelled.
        """
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                self._add(deadline)
                try:
                    yield
                finally:
                    self._remove(deadline)
        except TimeoutError:
            if deadline.expired():
                raise _stopping() from None
            raise

    async def drain(self, limit_s: float) -> None:
        """Refuse newcomers and wait until nobody is left.

        Args:
            limit_s: Whoever is still being answered after that many seconds is cancelled.
        """
        self._draining = True
        self._set_deadlines(limit_s)
        await self._idle.wait()

    def cut_short(self) -> None:
        """Do not wait any longer: cancel whoever is still being answered."""
        self._set_deadlines(0)

    def _set_deadlines(self, delay_s: float) -> None:
        when = asyncio.get_running_loop().time() + delay_s
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(when)

    def _add(self, deadline: asyncio.Timeout) -> None:
        self._deadlines.add(deadline)
        self._idle.clear()

    def _remove(self, deadline: asyncio.Timeout) -> None:
        self._deadlines.discard(deadline)
        if not self._deadlines:
            self._idle.set()


class Drain:
    """Counts each request while it is answered; refuses it when the server is stopping.

    Args:
        app: The next layer.
        in_flight: The count; who owns it starts the drain.
        watching: Paths of those who only ask how the server is. They are told to the last, and nobody waits for them.
    """

    def __init__(self, app: ASGIApp, *, in_flight: InFlight, watching: Iterable[str] = ()) -> None:
        self._app = app
        self._in_flight = in_flight
        self._watching = frozenset(watching)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on.

        Raises:
            Unavailable: code `shutting_down`: the server is stopping, or stopped before the answer's end.
        """
        if scope["path"] in self._watching:
            await self._app(scope, receive, send)
            return
        if self._in_flight.draining:
            raise _stopping()
        async with self._in_flight.track():
            await self._app(scope, receive, send)


def _stopping() -> Unavailable:
    # Else the client would send its next attempt down the same connection.
    return Unavailable("The server is shutting down.", code="shutting_down", headers={"Connection": "close"})
