"""Progress for programs: one JSON object a line. `obeaver pull --json` writes it, the server reads it.

{"stage": "download", "unit": "B", "total": 98362432, "done": 1048576}    total is null where nobody knows
{"note": "one sentence"}
{"model": "smollm2-135m", "folder": "/…"}    the last line, where all went well
{"error": "one sentence"}                    the last line, where it did not
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

INTERVAL_S: Final = 0.2
"""Between two lines of one stage: nobody sees more."""


def write_line(stream: TextIO, told: Mapping[str, Any]) -> None:
    """One line, at once."""
    print(json.dumps(told), file=stream, flush=True)


def read_line(line: bytes) -> dict[str, Any]:
    """What a line says; empty where it is not such a line."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class LineProgress:
    """A `Progress` that writes lines.

    Args:
        stream: Where to write.
        clock: Seconds, monotonic.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> Iterator["_Stage"]:
        """See `Progress.stage`."""
        stage = _Stage(self._stream, {"stage": title, "unit": unit, "total": total}, done, self._clock)
        stage.write()
        yield stage
        stage.write()

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        write_line(self._stream, {"note": text})


class _Stage:
    def __init__(self, stream: TextIO, head: Mapping[str, Any], done: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._head = head
        self._done = done
        self._clock = clock
        self._written_s = clock()

    def advance(self, n: int) -> None:
        self._done += n
        if self._clock() - self._written_s >= INTERVAL_S:
            self.write()

    def write(self) -> None:
        self._written_s = self._clock()
        write_line(self._stream, {**self._head, "done": self._done})
