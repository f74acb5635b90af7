"""Looks at a folder in which another process is at work."""

import os
from contextlib import suppress
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
