"""Locks between processes, one file each.

The operating system ends a lock with the process that held it, however that process ended. That is what the store
builds on: whoever holds the lock of a thing knows that all unfinished work on it is abandoned, with no look at process
ids, which are reused and mean nothing across containers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from obeaver.errors import StoreError

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_S = 0.1


class Locks:
    """The locks below one folder.

    Args:
        folder: Where the lock files are; made when missing. They stay when a lock ends: removing them would race.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, *, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock for the length of the block, waiting for it as long as it takes.

        Args:
            name: Of the lock; a valid file name.
            on_wait: Called once when somebody else holds it.

        Raises:
            StoreError: The file system refuses.
        """
        lock = self._lock(name)
        if not _acquired(lock, timeout_s=0):
            on_wait()
            _acquired(lock, timeout_s=-1)
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def try_hold(self, name: str) -> Iterator[bool]:
        """Hold the lock for the length of the block if nobody else does; gives whether it is held.

        Raises:
            StoreError: The file system refuses.
        """
        lock = self._lock(name)
        held = _acquired(lock, timeout_s=0)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def _lock(self, name: str) -> "BaseFileLock":
        from filelock import FileLock  # here: a start that finds its model needs no lock

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to the model store {self._folder.parent}: {error.strerror}") from error
        return FileLock(self._folder / f"{name}.lock", thread_local=False)


def _acquired(lock: "BaseFileLock", *, timeout_s: float) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=timeout_s, poll_interval=POLL_S)
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        raise StoreError(f"cannot lock {lock.lock_file}: {error}") from error
    return True
