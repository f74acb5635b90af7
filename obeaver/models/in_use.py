"""Who uses a stored model: one lock file for each process and model, `locks/in-use/<name>@<pid>-<token>.lock`.

The operating system ends a lock with its process, so a file that can be locked is that of a process that is no more. A
store that cannot be written is used without leaving a mark.
"""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from obeaver.errors import StoreError
from obeaver.models.locks import Locks

logger = logging.getLogger(__name__)

FOLDER: Final = "in-use"


class InUse:
    """The marks of one store.

    Args:
        locks: Folder of the store's locks.
    """

    def __init__(self, locks: Path) -> None:
        self._folder = locks / FOLDER
        self._locks = Locks(self._folder)

    @contextmanager
    def mark(self, name: str) -> Iterator[None]:
        """Show for the length of the block that this process uses the model of this name."""
        mark = f"{name}@{os.getpid()}-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            try:
                stack.enter_context(self._locks.hold(mark, on_wait=lambda: None))
                stack.callback(_remove, self._folder / f"{mark}.lock")
            except StoreError as error:
                logger.info("the use of %s is not marked: %s", name, error)
            yield

    def users(self, name: str) -> tuple[int, ...]:
        """Ids of the processes that use the model now, this one's included."""
        marks = sorted(self._folder.glob(f"{name}@*.lock"))
        return tuple(sorted({_pid(path) for path in marks if self._is_held(path)}))

    def _is_held(self, path: Path) -> bool:
        with self._locks.try_hold(path.stem) as free:
            if free:
                _remove(path)
        return not free


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("@")[2].partition("-")[0])


def _remove(path: Path) -> None:
    with suppress(OSError):  # Windows removes no open file; it is empty, and the next one who looks removes it
        path.unlink()
