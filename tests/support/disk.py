"""Looks at a folder in which another process is at work; disks that are full or cannot be written."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path


def bytes_below(folder: Path, pattern: str) -> int:
    """Bytes of the files whose path relative to the folder matches; `*` also matches slashes.

    Unlike `Path.glob`, `os.walk` passes over folders that vanish meanwhile.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if fnmatch(path.relative_to(folder).as_posix(), pattern):
                with suppress(FileNotFoundError):  # moved while we looked
                    total += path.stat().st_size
    return total


class SmallDisk:
    """A file system in memory.

    Args:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        """Undo that."""
        self._filler.unlink()

    def make_read_only(self) -> None:
        """Nothing can be written from now on."""
        _mount("-o", "remount,ro", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[SmallDisk | None]:
    """Mount one for the length of the block; None where that is not allowed."""
    folder.mkdir()
    if not (os.name == "posix" and _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))):
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["/bin/mount", *words], check=False, capture_output=True).returncode == 0
    except OSError:
        return False
