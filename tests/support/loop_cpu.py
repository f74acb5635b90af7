"""How long callbacks keep an event loop from everybody else, in processor time: a busy machine adds none."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(slots=True)
class LoopCpu:
    """The longest callback since `begin`.

    Attributes:
        worst_s: Processor time that it took.
        callback: What it was, for people.
    """

    worst_s: float = 0.0
    callback: str = ""

    def begin(self) -> None:
        """Forget what was."""
        self.worst_s, self.callback = 0.0, ""

    def saw(self, taken_s: float, handle: Any) -> None:
        """A callback is done."""
        if taken_s > self.worst_s:
            self.worst_s, self.callback = taken_s, repr(handle)


@contextmanager
def watching_callbacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopCpu]:
    """Watch all callbacks of asyncio's own event loop."""
    seen, run = LoopCpu(), asyncio.Handle._run  # noqa: SLF001  # there is no other place where callbacks can be watched

    def run_and_look(handle: asyncio.Handle) -> None:
        begun_s = time.thread_time()
        run(handle)
        seen.saw(time.thread_time() - begun_s, handle)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", run_and_look)
        yield seen
