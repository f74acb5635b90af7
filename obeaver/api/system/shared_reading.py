"""One reading for all who ask at about the same time: twenty pages that watch read as often as one does."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from obeaver.errors import Unavailable

T = TypeVar("T")

FRESH_S: Final = 1.0
"""A reading is given to whoever asks within this time."""

PATIENCE_S: Final = 5.0
"""A driver that is being reset can block whoever asks it for good."""


class SharedReading(Generic[T]):
    """Reads in a thread, one at a time. Belongs to the event loop.

    Args:
        read: Takes the reading; may block.
        fresh_s: For how long a reading is given out again.
        patience_s: How long a client waits for one.
    """

    def __init__(self, read: Callable[[], T], *, fresh_s: float = FRESH_S, patience_s: float = PATIENCE_S) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._patience_s = patience_s
        self._task: asyncio.Task[T] | None = None
        self._ended_s = 0.0

    async def get(self) -> T:
        """A reading that is fresh.

        Raises:
            Unavailable: It takes too long; whoever asks later gets it once it is there.
            Exception: Whatever reading raises.
        """
        task = self._task
        if task is None or (task.done() and self._now_s() - self._ended_s > self._fresh_s):
            task = self._task = asyncio.create_task(asyncio.to_thread(self._read))
            task.add_done_callback(self._end)
        # Not the task itself: one client who leaves would cancel it for all.
        done, _ = await asyncio.wait({task}, timeout=self._patience_s)
        if not done:
            raise Unavailable("A device of this machine does not answer; ask again later.")
        return task.result()

    def _end(self, _task: object) -> None:
        self._ended_s = self._now_s()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
