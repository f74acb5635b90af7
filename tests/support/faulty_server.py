"""`obeaver`, with a runner and a clock that fail as a file says: `python -m support.faulty_server FAULTS serve …`.

The file holds one fault, which happens once: the server removes the file when it does.

    raise, memory, nan, die    the next decode run raises, runs out of memory, gives no numbers, ends its thread
    slow S, hang               it takes S seconds longer, or for ever
    crash                      the next row that is given back cannot be: an error that no step can catch
    block S                    the event loop stands still for S seconds, at the next decode run
    clock S                    from now on the wall clock is S seconds off; the file stays
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGUSR1, pthread_kill, signal
from typing import Any

import numpy as np

FAULTS = Path(sys.argv[1])
_MAIN = threading.get_ident()
_wall_clock = time.time


def _taken(*names: str) -> str | None:
    """The fault in the file, where it is one of these; it happens now."""
    fault = None
    with suppress(FileNotFoundError):
        fault = FAULTS.read_text(encoding="utf-8")
    if not fault or fault.split()[0] not in names:
        return None
    if fault.split()[0] != "clock":
        FAULTS.unlink()
    return fault


def jumping_clock() -> float:
    """`time.time`, for whoever imports it after this."""
    fault = _taken("clock")
    return _wall_clock() + (float(fault.split()[1]) if fault else 0.0)


class FaultyRunner:
    """A runner round a real one."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def decode(self, token_ids: Sequence[int], lengths: Sequence[int]) -> Any:
        match (_taken("raise", "memory", "nan", "die", "slow", "hang", "block") or "").split():
            case ["raise"]:
                raise RuntimeError("this run fails as the test wants")
            case ["memory"]:
                raise MemoryError
            case ["die"]:
                raise SystemExit
            case ["nan"]:
                return np.full_like(self._runner.decode(token_ids, lengths), np.nan)
            case ["slow", seconds]:
                time.sleep(float(seconds))
            case ["hang"]:
                threading.Event().wait()
            case ["block", seconds]:
                os.environ["OBEAVER_TEST_BLOCK_S"] = seconds
                pthread_kill(_MAIN, SIGUSR1)
        return self._runner.decode(token_ids, lengths)

    def release_row(self, row: int) -> None:
        if _taken("crash"):
            raise RuntimeError("the row is lost as the test wants")
        self._runner.release_row(row)


def main() -> int:
    """Run the command line after the file's name."""
    time.time = jumping_clock
    from obeaver.app import chat_engine
    from obeaver.cli import main as run

    open_runner = chat_engine.open_runner
    setattr(chat_engine, "open_runner", lambda *args: FaultyRunner(open_runner(*args)))  # noqa: B010  # mypy knows the real one
    signal(SIGUSR1, lambda *_: time.sleep(float(os.environ["OBEAVER_TEST_BLOCK_S"])))
    return run(sys.argv[2:])


if __name__ == "__main__":
    raise SystemExit(main())
