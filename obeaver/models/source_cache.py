"""Fetched sources, kept by their hash: `sources/<sha256>.gguf`, or a folder of files `sources/<sha256>/`.

On their way they are in `downloads/`. A source appears under `sources/` in one step, after its hash was checked. Work
on it happens in `downloads/<sha256>-<token>/`, by whoever holds the lock of that hash.
"""

import logging
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from obeaver.errors import StoreError
from obeaver.models.locks import Locks
from obeaver.models.record import folder_sha256, sha256_of

logger = logging.getLogger(__name__)


class SourceCache:
    """The source files of one store.

    Args:
        home: The store's folder.
        locks: The store's locks.
    """

    def __init__(self, home: Path, locks: Locks) -> None:
        self._sources = home / "sources"
        self._downloads = home / "downloads"
        self._locks = locks

    @contextmanager
    def locked(self, sha256: str, *, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only one who fetches, reads or removes this file; what others left unfinished of it is removed."""
        with self._locks.hold(_lock_name(sha256), on_wait=on_wait):
            self._remove_leftovers(sha256)
            yield

    def find(self, sha256: str) -> Path | None:
        """The file or folder, after its content was checked; one that is not what its name says is removed."""
        for path in self._paths(sha256):
            if not path.exists():
                continue
            if (folder_sha256(path) if path.is_dir() else sha256_of(path)) == sha256:
                return path
            logger.warning("%s is damaged: removed, to be fetched again", path)
            _remove(path)
        return None

    @contextmanager
    def work_folder(self, sha256: str) -> Iterator[Path]:
        """An empty folder to fetch into, removed with the block. The caller holds the file's lock.

        Raises:
            StoreError: The folder cannot be made.
        """
        folder = self._downloads / f"{sha256}-{secrets.token_hex(4)}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StoreError(f"cannot write to {self._downloads}: {error.strerror}") from error
        try:
            yield folder
        finally:
            remove_tree(folder)

    def keep(self, fetched: Path, sha256: str) -> Path:
        """Move a checked file or folder from its work folder to its place. The caller holds its lock.

        Raises:
            StoreError: It cannot be moved.
        """
        file, folder = self._paths(sha256)
        path = folder if fetched.is_dir() else file
        try:
            self._sources.mkdir(parents=True, exist_ok=True)
            fetched.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write to {self._sources}: {error.strerror}") from error
        return path

    def remove(self, sha256: str, *, still_used: Callable[[], bool]) -> None:
        """Remove the file unless it is used; asked and done under its lock. Somebody who works with it keeps it."""
        with self._locks.try_hold(_lock_name(sha256)) as held:
            if held and not still_used():
                for path in self._paths(sha256):
                    _remove(path)

    def clean(self) -> None:
        """Remove what dead processes left in `downloads/`."""
        for sha256 in {folder.name.rpartition("-")[0] for folder in _entries(self._downloads)}:
            with self._locks.try_hold(_lock_name(sha256)) as held:
                if held:
                    self._remove_leftovers(sha256)

    def _paths(self, sha256: str) -> tuple[Path, Path]:
        """Where a file would be, and where a folder."""
        return self._sources / f"{sha256}.gguf", self._sources / sha256

    def _remove_leftovers(self, sha256: str) -> None:
        for folder in _entries(self._downloads):
            if folder.name.startswith(f"{sha256}-"):
                logger.info("removing an unfinished download: %s", folder)
                remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder that nobody needs any more; what cannot be removed now is left for the next time, and logged."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("cannot remove all of %s now", folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _lock_name(sha256: str) -> str:
    return f"source-{sha256}"
