"""Fetched sources, kept by their hash: `sources/<sha256>.gguf`, or a folder of files `sources/<sha256>/`.

On their way they are in `downloads/`, in a folder that belongs to whoever holds the lock of that download. A download
is known by a key: the hash of what is fetched, or one of its description where the hash is not known yet. A source
appears under `sources/` in one step, after its content was checked.
"""

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from obeaver.errors import StoreError
from obeaver.models.locks import Locks
from obeaver.models.record import folder_sha256, sha256_of

logger = logging.getLogger(__name__)

KEPT_S: Final = 7 * 24 * 3600.0
"""How long an unfinished download waits to be resumed."""


class SourceCache:
    """The source files of one store.

    Args:
        home: The store's folder.
        locks: The store's locks.
        clock: Seconds since 1970.
    """

    def __init__(self, home: Path, locks: Locks, *, clock: Callable[[], float] = time.time) -> None:
        self._sources = home / "sources"
        self._downloads = home / "downloads"
        self._locks = locks
        self._clock = clock

    @contextmanager
    def locked(self, sha256: str, *, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only one who keeps, reads or removes this file."""
        with self._locks.hold(f"source-{sha256}", on_wait=on_wait):
            yield

    @contextmanager
    def downloading(self, key: str, *, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only one who fetches this; what others left that cannot be resumed is removed."""
        with self._locks.hold(_lock_name(key), on_wait=on_wait):
            self._remove_leftovers(key)
            yield

    def has(self, sha256: str) -> bool:
        """Whether the file or folder is there; its content is not looked at."""
        return any(path.exists() for path in self._paths(sha256))

    def size_bytes(self, sha256: str) -> int:
        """Bytes of the file or folder."""
        return sum(_tree_bytes(path) for path in self._paths(sha256))

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
    def work_folder(self, key: str, *, is_resumable: bool = False) -> Iterator[Path]:
        """A folder to fetch into. The caller holds the download's lock.

        Args:
            key: Of the download.
            is_resumable: The folder has what an earlier fetch left, and stays when the block fails; else it is empty
                and goes with the block.

        Raises:
            StoreError: The folder cannot be made.
        """
        folder = self._downloads / (key if is_resumable else f"{key}-{secrets.token_hex(4)}")
        try:
            folder.mkdir(parents=True, exist_ok=is_resumable)
        except OSError as error:
            raise StoreError(f"cannot write to {self._downloads}: {error.strerror}") from error
        try:
            yield folder
        except BaseException:
            if not is_resumable:
                remove_tree(folder)
            raise
        remove_tree(folder)

    def forget_download(self, key: str) -> None:
        """Remove what there is of a download that is not needed any more. The caller holds its lock."""
        if (self._downloads / key).exists():
            remove_tree(self._downloads / key)

    def fetched_bytes(self, key: str) -> int:
        """What there is of an unfinished download that can be resumed."""
        return _tree_bytes(self._downloads / key)

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
        with self._locks.try_hold(f"source-{sha256}") as held:
            if held and not still_used():
                for path in self._paths(sha256):
                    _remove(path)

    def clean(self) -> None:
        """Remove what dead processes left in `downloads/`, and downloads that nobody went on with."""
        for key in {folder.name.partition("-")[0] for folder in _entries(self._downloads)}:
            with self._locks.try_hold(_lock_name(key)) as held:
                if held:
                    self._remove_leftovers(key)
                    if self._is_forgotten(self._downloads / key):
                        remove_tree(self._downloads / key)

    def _is_forgotten(self, folder: Path) -> bool:
        times = [path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()]
        return bool(times) and self._clock() - max(times) > KEPT_S

    def _paths(self, sha256: str) -> tuple[Path, Path]:
        """Where a file would be, and where a folder."""
        return self._sources / f"{sha256}.gguf", self._sources / sha256

    def _remove_leftovers(self, key: str) -> None:
        for folder in _entries(self._downloads):
            if folder.name.startswith(f"{key}-"):
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


def _tree_bytes(path: Path) -> int:
    """Of a file, or of all files in a folder; 0 where there is nothing."""
    return sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file())


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _lock_name(key: str) -> str:
    return f"download-{key}"
