"""One look at the engines for all who watch them: however many pages are open, one is taken in each interval.

    first listener comes    the ticker starts: look, then wake all who listen
    each tick               one look, one encoding; a listener only gets the bytes
    last listener leaves    the ticker ends

A tick that would say what the one before said is left out, but for one every one and a half seconds: the server lives.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from obeaver.api.contract import wire
from obeaver.web import sse

INTERVAL_S: Final = 0.5
"""Between two looks: often enough for gauges that move, at a cost that no stream feels."""

LONGEST_SILENCE_S: Final = 1.5
"""A page that hears nothing for some seconds can take the server for stalled."""


@dataclass(frozen=True)
class Look:
    """What there was to see at one moment.

    Attributes:
        models: The engines.
        last_request: Number of the latest request in the log.
    """

    models: list[wire.Object]
    last_request: int


class Tick:
    """A look that all listeners are told of.

    Args:
        number: Counts up while somebody listens.
        look: What was seen.
        compose: From a look and a request's number to an event: the engines, and the requests after that one.
    """

    def __init__(self, number: int, look: Look, compose: Callable[[Look, int], wire.Object]) -> None:
        self.number = number
        self.look = look
        self._compose = compose
        self._events: dict[int, bytes] = {}

    def event(self, since: int) -> bytes:
        """The event for a listener who was told of the requests up to this number; encoded once for all like it."""
        if since not in self._events:
            self._events[since] = sse.event(self._compose(self.look, since))
        return self._events[since]


class EngineFeed:
    """Ticks for all who listen. Belongs to the event loop.

    Args:
        look: What there is to see now.
        compose: As `Tick` has it.
        ended: Whether the server shuts down: then all streams end.
        interval_s: Between two looks.
        longest_silence_s: Between two events, where nothing changes.
    """

    def __init__(
        self,
        look: Callable[[], Look],
        compose: Callable[[Look, int], wire.Object],
        ended: Callable[[], bool],
        *,
        interval_s: float = INTERVAL_S,
        longest_silence_s: float = LONGEST_SILENCE_S,
    ) -> None:
        self._look = look
        self._compose = compose
        self._ended = ended
        self._interval_s = interval_s
        self._max_unchanged = round(longest_silence_s / interval_s) - 1
        self._num_unchanged = 0
        self._num_listeners = 0
        self._tick: Tick | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Events, until the server shuts down. The first has all requests of the log, the others those that came since.

        Raises:
            Exception: What looking raised.
        """
        with self._listening() as ticker:
            seen, told = 0, 0
            while (tick := await self._next(ticker, seen)) is not None:
                yield tick.event(told)
                seen, told = tick.number, tick.look.last_request

    @contextlib.contextmanager
    def _listening(self) -> Iterator[asyncio.Task[None]]:
        self._num_listeners += 1
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._run())
            self._ticker.add_done_callback(self._wake)
        try:
            yield self._ticker
        finally:
            self._num_listeners -= 1
            if not self._num_listeners:
                self._ticker.cancel()
                self._ticker = self._tick = None

    async def _next(self, ticker: asyncio.Task[None], seen: int) -> Tick | None:
        """The latest tick, as soon as it is younger than the one of this number; None where there will be no more."""
        while not ticker.done():
            if self._tick is not None and self._tick.number > seen:
                return self._tick
            await self._changed.wait()
        return ticker.result()

    async def _run(self) -> None:
        while not self._ended():
            self._take_tick()
            await asyncio.sleep(self._interval_s)

    def _take_tick(self) -> None:
        look, before = self._look(), self._tick
        if before is not None and look == before.look and self._num_unchanged < self._max_unchanged:
            self._num_unchanged += 1
            return
        self._num_unchanged = 0
        self._tick = Tick(1 if before is None else before.number + 1, look, self._compose)
        self._wake()

    def _wake(self, _ticker: object = None) -> None:
        """Whoever waits goes on; whoever waits from now on waits for the next time."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
