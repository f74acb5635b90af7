"""How late the event loop comes to what is due, looked at all the time."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from obeaver.app.beside import beside

logger = logging.getLogger("obeaver")

INTERVAL_S: Final = 0.1
"""A longer stall is always seen, a shorter one as often as its share of this."""

WARN_S: Final = 1.0
"""Whoever streams has noticed it by then."""


def watching_lag(
    observe: Callable[[float], None], clock: Callable[[], float] = time.monotonic
) -> AbstractAsyncContextManager[None]:
    """Tell `observe` for the length of the block by how many seconds the loop was late; a long stall is logged."""
    return beside(_watch(observe, clock))


async def _watch(observe: Callable[[float], None], clock: Callable[[], float]) -> None:
    while True:
        due_s = clock() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        late_s = max(0.0, clock() - due_s)
        observe(late_s)
        if late_s > WARN_S:
            logger.warning("the event loop stood still for %.1f s", late_s)
