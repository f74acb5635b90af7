"""Work that many requests want of the event loop at once is done in turns, and the loop looks at others in between."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

ROUND_S: Final = 0.01
"""Work that is done in one round of the loop; a single piece may take longer."""


class Turns:
    """Two hundred short requests that arrive together take two hundred times a few milliseconds: not in one piece.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._used_s = 0.0
        self._next_round: asyncio.Future[None] | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """Do it in this round of the loop, or in one of the next ones."""
        while True:
            if self._next_round is None:
                self._begin_round()
            if self._used_s < ROUND_S or self._next_round is None:
                break
            await asyncio.shield(self._next_round)
        begun_s = self._clock()
        try:
            return work()
        finally:
            self._used_s += self._clock() - begun_s

    def _begin_round(self) -> None:
        loop = asyncio.get_running_loop()
        self._used_s = 0.0
        self._next_round = loop.create_future()
        loop.call_soon(self._end_round)

    def _end_round(self) -> None:
        over, self._next_round = self._next_round, None
        if over is not None:
            over.set_result(None)
