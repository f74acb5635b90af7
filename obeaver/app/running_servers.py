"""Which servers run over a store: a mark for each, `locks/servers/<pid>-<token>.json`, in which it tells of itself."""

import json
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import psutil

from obeaver.errors import StoreError
from obeaver.models.marks import Marks

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
        self._marks = Marks(home / FOLDER, ".json")

    def listed(self, server: RunningServer) -> AbstractContextManager[None]:
        """List it for the length of the block. A store that cannot be written is served all the same."""
        return self._marks.kept(
            content=json.dumps(asdict(server)),
            on_refused=lambda error: logger.info("obeaver ps will not show this server: %s", error),
        )

    def all(self) -> Sequence[RunningServer]:
        """Every one that runs now, the oldest first; what is left of others is removed."""
        found = [_read(path) for path in self._marks.found() if self._runs(path)]
        return sorted((server for server in found if server is not None), key=lambda server: server.started_at)

    def _runs(self, path: Path) -> bool:
        try:
            return self._marks.stands(path)
        except StoreError:  # a store that cannot be written has no servers that could have listed themselves
            return False


def _read(path: Path) -> RunningServer | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return RunningServer(**{**told, "models": tuple(told["models"])})
    except (OSError, ValueError, TypeError, KeyError):  # it has just ended, or another version wrote it
        return None
