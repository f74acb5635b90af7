"""Memory that a large request took goes back to the operating system when the request is over.

The C library keeps what is freed, in case that it is wanted again: a body of 9 MB can leave a process hundreds of MB
larger for good. Asking it to give back takes some 10 ms outside of the interpreter's lock, so it is asked only when
there is reason to: when the process has grown, and whenever one of the requests ends that were being answered then.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Final

import psutil

from obeaver.allocator import trim
from obeaver.app.beside import beside
from obeaver.app.memory import MB
from obeaver.web.in_flight import InFlight

INTERVAL_S: Final = 2.0
GROWTH_BYTES: Final = 8 * MB
"""Less than this comes and goes with every few requests."""


class FreedMemory:
    """Decides when to ask.

    Args:
        in_flight: The requests that are being answered.
        resident_bytes: Tells the memory of the process.
        give_back: Asks the C library; for a thread.
    """

    def __init__(
        self,
        in_flight: InFlight,
        resident_bytes: Callable[[], int] | None = None,
        give_back: Callable[[], None] = trim,
    ) -> None:
        self._in_flight = in_flight
        self._resident_bytes = resident_bytes or _resident_bytes
        self._give_back = give_back
        self._least_bytes = self._resident_bytes()
        self._suspects: frozenset[object] = frozenset()

    async def look(self) -> bool:
        """See how things are, and whether memory was asked back because of it."""
        size, current = self._resident_bytes(), self._in_flight.current
        has_grown = size > self._least_bytes + GROWTH_BYTES
        has_ended = not self._suspects <= current
        self._suspects = (self._suspects | current if has_grown else self._suspects) & current
        if has_grown or has_ended:
            # A thread that ends again: how many threads a server has tells of leaks.
            with ThreadPoolExecutor(1, thread_name_prefix="obeaver-memory") as pool:
                await asyncio.get_running_loop().run_in_executor(pool, self._give_back)
            self._least_bytes = self._resident_bytes()
            return True
        self._least_bytes = min(self._least_bytes, size)
        return False


def giving_back(in_flight: InFlight) -> AbstractAsyncContextManager[None]:
    """Look every other second for the length of the block."""
    return beside(_look_again_and_again(FreedMemory(in_flight)))


async def _look_again_and_again(freed: FreedMemory) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S)
        await freed.look()


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
