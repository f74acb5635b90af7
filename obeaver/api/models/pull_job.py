"""One pull on behalf of a client: `obeaver pull` in a process of its own.

In another process, because an import takes processor and memory that the running answers should not lack, and because
the store promises that whoever works on it can be killed at any moment: that is how a pull is cancelled, and the next
one goes on where it stopped.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from obeaver.models.progress_lines import read_line

logger = logging.getLogger("obeaver")

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"

NUM_NOTES: Final = 10
"""Sentences that are kept of one pull."""


@dataclass(frozen=True, slots=True)
class PullState:
    """How far a pull is.

    Attributes:
        status: `running`, `done`, `failed` or `cancelled`.
        stage: What it does now, in a word or two; "" before it has said.
        unit: What it counts: `B` is bytes.
        done: How many of them are done.
        total: Of how many; None where nobody knows.
        notes: What it had to say, the latest last.
        model: Name of the model in the store, once it is done.
        error: Why it failed.
    """

    status: str = RUNNING
    stage: str = ""
    unit: str = "B"
    done: int = 0
    total: int | None = None
    notes: tuple[str, ...] = ()
    model: str | None = None
    error: str | None = None

    def told(self, line: Mapping[str, Any]) -> "PullState":
        """The state after a line of the process."""
        if "stage" in line:
            return replace(
                self, stage=line["stage"], unit=line["unit"], done=line["done"], total=line["total"], error=None
            )
        if "note" in line:
            return replace(self, notes=(*self.notes, line["note"])[-NUM_NOTES:])
        return replace(self, model=line.get("model", self.model), error=line.get("error", self.error))


class PullJob:
    """A pull under way, or over. Belongs to the event loop.

    Args:
        id: Names it.
        asked: What is pulled.
        command: The command line that does it, and tells of it in lines of `progress_lines`.
        clock: Seconds, monotonic.

    Attributes:
        state: How far it is; replaced at each change.
    """

    def __init__(self, id: str, asked: str, command: Sequence[str], clock: Callable[[], float]) -> None:  # noqa: A002
        self.id = id
        self.asked = asked
        self.state = PullState()
        self._command = command
        self._clock = clock
        self._started_s = clock()
        self._ended_s: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_cancelled = False
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state.status != RUNNING

    @property
    def duration_s(self) -> float:
        """How long it has been going on, or took."""
        return (self._clock() if self._ended_s is None else self._ended_s) - self._started_s

    async def run(self) -> None:
        """Pull, to the end. To be called once."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            logger.exception("a pull could not be started")
            self._end(replace(self.state, status=FAILED, error=f"it could not be started: {error.strerror}"))
            return
        if self._is_cancelled:
            _kill(self._process)
        try:
            await self._listen(self._process)
        finally:
            _kill(self._process)  # also where this task is cancelled

    async def changed(self, seen: PullState) -> PullState:
        """The state, as soon as it is another one than this."""
        while self.state is seen and not self.is_over:
            await self._changed.wait()
        return self.state

    def cancel(self) -> None:
        """End it now; what was fetched stays for the next time. Nothing happens to one that is over."""
        if not self.is_over:
            self._is_cancelled = True
            if self._process is not None:
                _kill(self._process)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self._become(self.state.told(read_line(line)))
        status = await process.wait()
        self._end(self._outcome(status))

    def _outcome(self, status: int) -> PullState:
        if status == 0 and self.state.model is not None:
            return replace(self.state, status=DONE, error=None)
        if self._is_cancelled:
            return replace(self.state, status=CANCELLED, error=None)
        return replace(
            self.state, status=FAILED, error=self.state.error or f"it ended with status {status}; the log says why"
        )

    def _end(self, state: PullState) -> None:
        self._ended_s = self._clock()
        self._become(state)

    def _become(self, state: PullState) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _kill(process: asyncio.subprocess.Process) -> None:
    """End it and what it has started: the package index's client is a process of its own."""
    if process.returncode is not None:
        return
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        """It has ended in this moment."""
