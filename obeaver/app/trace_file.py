"""The engines' steps as a file that Perfetto and `chrome://tracing` show.

Source: "Trace Event Format", the array form, in which the closing bracket may be missing: a server that is killed
leaves a file that can be read.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TextIO

from obeaver.errors import CommandError

logger = logging.getLogger("obeaver")

MAX_EVENTS: Final = 2_000_000
"""Some 250 MB: an hour of a busy engine, and as much as the viewers take."""


class TraceFile:
    """A `Tracer` that writes a file; engines do not wait for the disk.

    Args:
        path: Of the file, which is made anew.
        clock: Nanoseconds, monotonic.

    Raises:
        CommandError: It cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._path = path
        self._clock = clock
        self._events: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._pid = os.getpid()
        try:
            file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"the trace cannot be written: {path}: {error.strerror}") from None
        self._writer = threading.Thread(target=self._write, args=(file,), name="obeaver-trace", daemon=True)
        self._writer.start()

    @contextmanager
    def span(self, name: str, /, **details: int) -> Iterator[None]:
        """Record what takes as long as the block."""
        began = self._clock()
        try:
            yield
        finally:
            self._events.put(
                {
                    "name": name,
                    "cat": "engine",
                    "ph": "X",
                    "ts": began / 1000,
                    "dur": (self._clock() - began) / 1000,
                    "pid": self._pid,
                    "tid": threading.get_native_id(),
                    "args": details,
                }
            )

    def close(self) -> None:
        """Write what is left, and end the file. Idempotent."""
        self._events.put(None)
        self._writer.join()

    def _write(self, file: TextIO) -> None:
        try:
            with file:
                file.write("[\n" + json.dumps(self._name()))
                for _ in range(MAX_EVENTS):
                    event = self._events.get()
                    if event is None:
                        file.write("\n]\n")
                        return
                    file.write(",\n" + json.dumps(event))
                    if self._events.empty():
                        file.flush()
                file.write("\n]\n")
                logger.warning("the trace is full: %s has %d events", self._path, MAX_EVENTS)
        except OSError as error:
            logger.warning("the trace ends here: %s: %s", self._path, error.strerror)
        while self._events.get() is not None:
            """What can no longer be written must not pile up."""

    def _name(self) -> dict[str, Any]:
        return {"name": "process_name", "ph": "M", "pid": self._pid, "tid": 0, "args": {"name": "obeaver"}}
