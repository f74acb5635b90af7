"""A load that somebody asked for: how far it is, how it ended, and what a client may read of a failure."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from obeaver.errors import ApiError, ModelLoadFailed, NotEnoughMemory, ObeaverError, Unavailable

_ROOT = r"(?:[A-Za-z]:)?[\\/]"
_PATH = re.compile(rf"""(?P<quote>['"]){_ROOT}.*?(?P=quote)|(?<![\w.]){_ROOT}[^\s:'"]*""")
"""A path from the root; between quotes it may hold blanks."""


class ModelLoad:
    """One load.

    Args:
        name: The model's name.
        clock: Seconds, monotonic.

    Attributes:
        stage: What it does now, in a few words.
        error: Why it failed; None while it has not.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.stage = "begin"
        self.error: ApiError | None = None
        self._clock = clock
        self._started_s = clock()
        self._ended_s: float | None = None
        self._ended = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    def enter(self, stage: str) -> None:
        """It does something else now. May be called from any thread."""
        self.stage = stage

    def end(self, error: ApiError | None = None) -> None:
        """It has ended; with an error, it has failed."""
        self.error = error
        self._ended_s = self._clock()
        self._ended.set()

    async def wait(self) -> None:
        """Return when it has ended well.

        Raises:
            ApiError: It failed.
        """
        await self._ended.wait()
        if self.error is not None:
            raise self.error

    def as_object(self) -> dict[str, Any]:
        """What `/health` says of it."""
        elapsed_s = (self._clock() if self._ended_s is None else self._ended_s) - self._started_s
        status = ("failed" if self.error else "ok") if self.is_done else "loading"
        told: dict[str, Any] = {"model": self.name, "status": status, "seconds": round(elapsed_s, 3)}
        if status == "loading":
            told["stage"] = self.stage
        return told | self.error.body() if self.error else told


def load_error(error: BaseException, name: str, folder: Path | None = None) -> ApiError:
    """What a client is told of a load that failed: why, and nothing of where this machine keeps its files.

    Args:
        error: What ended the load.
        name: The model's.
        folder: Where its files are, if it has got that far.
    """
    if isinstance(error, asyncio.CancelledError):
        return Unavailable("The server is shutting down.", code="shutting_down")
    if isinstance(error, NotEnoughMemory):
        return ModelLoadFailed(f"{name} cannot be loaded: {error}.", code="insufficient_memory")
    if isinstance(error, ObeaverError):
        return ModelLoadFailed(f"{name} cannot be loaded: {without_paths(str(error), name, folder)}.")
    return ModelLoadFailed(f"{name} cannot be loaded; the server's log says why.")


def without_paths(text: str, name: str, folder: Path | None) -> str:
    """The text with the model's name in place of its folder, and the last part of any other path."""
    for path in () if folder is None else (folder, folder.resolve()):
        text = text.replace(str(path), name)
    return _PATH.sub(lambda found: _last_part(found[0]), text).rstrip(".")


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.strip("'\"").rstrip("\\/"))[-1]
