"""The pulls of a server: one at a time, the latest are remembered."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from obeaver.api.models.pull_job import PullJob
from obeaver.errors import Conflict, Forbidden

NUM_KEPT: Final = 20
"""Pulls that are remembered."""


@dataclass(frozen=True, slots=True)
class PullOrder:
    """What to pull.

    Attributes:
        asked: A name of the catalogue, or an address of the hub.
        name: What the model is to be called, where an address is asked for.
        weights: Format of the weights, where the model is imported.
        kv: Format of the KV cache, likewise.
    """

    asked: str
    name: str | None = None
    weights: str | None = None
    kv: str | None = None


PullCommand = Callable[[PullOrder], Sequence[str]]
"""The command line for an order."""


class Pulls:
    """Starts pulls, and knows them. Belongs to the event loop.

    Args:
        command: Makes the command lines; None where clients may not pull.
        clock: Seconds, monotonic; the event loop's if not given.
    """

    def __init__(self, command: PullCommand | None = None, clock: Callable[[], float] | None = None) -> None:
        self._command = command
        self._clock = clock
        self._numbers = itertools.count(1)
        self._jobs: deque[PullJob] = deque(maxlen=NUM_KEPT)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def allowed(self) -> bool:
        """Whether clients may pull."""
        return self._command is not None

    def latest(self) -> list[PullJob]:
        """Those that are remembered, the latest first."""
        return list(reversed(self._jobs))

    def find(self, job_id: str) -> PullJob | None:
        """The pull of this id."""
        return next((job for job in self._jobs if job.id == job_id), None)

    def start(self, order: PullOrder) -> PullJob:
        """Begin to pull.

        Raises:
            Forbidden: code `pull_not_allowed`: the server was not started for that.
            Conflict: code `pull_in_progress`: another pull is under way.
        """
        if self._command is None:
            raise Forbidden(
                "This server fetches no models for its clients: it was not started with --allow-pull, or is offline.",
                code="pull_not_allowed",
            )
        if any(not job.is_over for job in self._jobs):
            raise Conflict("Another model is being pulled; wait for it or cancel it.", code="pull_in_progress")
        clock = self._clock or asyncio.get_running_loop().time
        job = PullJob(f"pull_{next(self._numbers)}", order.asked, self._command(order), clock)
        self._jobs.append(job)
        task = asyncio.create_task(job.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def cancel(self) -> None:
        """End what is under way: the server shuts down."""
        for job in self._jobs:
            job.cancel()

    async def close(self) -> None:
        """The same, and wait for the end."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
