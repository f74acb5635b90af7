"""A real server that stores responses, and can be ended and started again on the same store."""

import contextlib
from pathlib import Path

from support.server_process import ServerProcess, serve


class Restartable:
    """A server of one model with a model store of its own.

    Args:
        model: Folder of the model.
        home: Folder of the store.
        words: Further options.
    """

    def __init__(self, model: Path, home: Path, *words: str) -> None:
        self._words = (str(model), "--home", str(home), "--offline", *words)
        self._stack = contextlib.ExitStack()
        self._running: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it listens now."""
        assert self._running is not None
        return self._running.url

    def start(self) -> None:
        """Start it."""
        self._running = self._stack.enter_context(serve(*self._words))

    def stop(self) -> None:
        """End it as a person would."""
        self._stack.close()
        self._running = None

    def kill(self) -> None:
        """End it with no time to tidy up."""
        assert self._running is not None
        self._running.process.kill()
        self._running.process.wait()
        self.stop()
