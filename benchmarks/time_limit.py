"""When a run has to end, whatever it is doing.

Everything asynchronous runs in asyncio's own loop: its clock is exact, where uvloop's counts whole milliseconds.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.conductor import ContenderFailed

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """A point in time.

    Attributes:
        at_s: Of `time.monotonic`.
    """

    at_s: float = float("inf")

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 when it has passed."""
        return max(0.0, self.at_s - time.monotonic())

    def run(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        """Run a coroutine in an event loop of its own, at most until then.

        Raises:
            ContenderFailed: It was cut off.
        """
        try:
            return asyncio.run(_within(asking, None if self.at_s == float("inf") else self.left_s))
        except TimeoutError:
            raise ContenderFailed("the time was up before it had answered") from None


async def _within(asking: Coroutine[Any, Any, Answer], seconds: float | None) -> Answer:
    async with asyncio.timeout(seconds):
        return await asking
