"""Which servers run over a store: a file for each in `locks/servers/`, and a lock that its process holds.

As with the marks of models in use, the operating system ends the lock with its process, so a file whose lock is free is
left from a server that is no more. No look at process ids or at clocks is needed: those are reused, and these jump.
"""

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import psutil

from obeaver.errors import StoreError
from obeaver.models.locks import Locks

logger = logging.getLogger("obeaver")

FOLDER: Final = Path("locks") / "servers"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server, as it said of itself when it began.

    Attributes:
        command: `serve`, `serve-embed` or `dashboard`.
        url: Where it listens.
        models: Those that it was started with.
        pid: Of its process.
        host: Name of the machine or the container that it runs on.
        started_at: Seconds since 1970.
    """

    command: str
    url: str
    models: tuple[str, ...] = ()
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    started_at: float = field(default_factory=time.time)

    @property
    def is_here(self) -> bool:
        """Whether its process is one of this machine's or container's."""
        return self.host == socket.gethostname()

    def memory_bytes(self) -> int | None:
        """What its process has in RAM; None where that cannot be told from here."""
        if not self.is_here:
            return None
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None


class RunningServers:
    """Those over one store.

    Args:
        home: The store's folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._locks = Locks(self._folder)

    @contextmanager
    def listed(self, server: RunningServer) -> Iterator[None]:
        """List it for the length of the block. A store that cannot be written is served all the same."""
        name = f"{server.pid}-{secrets.token_hex(4)}"
        path = self._folder / f"{name}.json"
        with ExitStack() as stack:
            try:
                stack.enter_context(self._locks.hold(name, on_wait=lambda: None))
                stack.callback(_remove, path.with_suffix(".lock"))
                _write(path, server)
                stack.callback(_remove, path)
            except (StoreError, OSError) as error:
                logger.info("obeaver ps will not show this server: %s", error)
            yield

    def all(self) -> Sequence[RunningServer]:
        """Every one that runs now, the oldest first; what is left of others is removed."""
        found = [_read(path) for path in sorted(self._folder.glob("*.json")) if self._is_held(path)]
        return sorted((server for server in found if server is not None), key=lambda server: server.started_at)

    def _is_held(self, path: Path) -> bool:
        try:
            with self._locks.try_hold(path.stem) as free:
                if free:
                    _remove(path)
                    _remove(path.with_suffix(".lock"))
            return not free
        except StoreError:  # a store that cannot be written has no servers that could have listed themselves
            return False


def _write(path: Path, server: RunningServer) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(server)), encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> RunningServer | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return RunningServer(**{**told, "models": tuple(told["models"])})
    except (OSError, ValueError, TypeError, KeyError):  # it has just ended, or another version wrote it
        return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
