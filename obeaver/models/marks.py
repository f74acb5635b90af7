"""Marks of processes: files that say something of a process for as long as it lives.

Each has a lock that its process holds. The operating system ends the lock with the process, however that ended, so a
mark whose lock is free is left from one that is no more, and whoever looks removes it. No look at process ids or at
clocks is needed: those are reused, and these jump.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from obeaver.errors import StoreError
from obeaver.models.locks import Locks

_LOCK: Final = ".lock"


class Marks:
    """Those in one folder, named `<about><pid>-<token>`.

    Args:
        folder: Where they are; made when missing.
        suffix: Of their names: that of locks where nothing more is to be said, else that of the files beside the locks.
    """

    def __init__(self, folder: Path, suffix: str = _LOCK) -> None:
        self._folder = folder
        self._suffix = suffix
        self._locks = Locks(folder)

    @contextmanager
    def kept(self, about: str = "", content: str = "", *, on_refused: Callable[[Exception], None]) -> Iterator[None]:
        """Keep one for the length of the block.

        Args:
            about: What its name begins with.
            content: What it says, where it is more than a lock.
            on_refused: Called where the folder cannot be written; the block is run all the same, without a mark.
        """
        name = f"{about}{os.getpid()}-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            try:
                stack.enter_context(self._locks.hold(name, on_wait=lambda: None))
                stack.callback(self._remove, name)
                if self._suffix != _LOCK:
                    _write(self._folder / f"{name}{self._suffix}", content)
            except (StoreError, OSError) as error:
                on_refused(error)
            yield

    def found(self, about: str = "") -> list[Path]:
        """Those whose names begin so, in the order of names; some may be left from processes that are no more."""
        return sorted(self._folder.glob(f"{about}*{self._suffix}"))

    def stands(self, path: Path) -> bool:
        """Whether the process lives that one of `found` is of; if not, it is removed.

        Raises:
            StoreError: The folder cannot be written, so it cannot be told.
        """
        with self._locks.try_hold(path.stem) as free:
            if free:
                self._remove(path.stem)
        return not free

    def _remove(self, name: str) -> None:
        for suffix in (self._suffix, _LOCK):
            with suppress(OSError):  # Windows removes no open file; the next one who looks removes it
                (self._folder / f"{name}{suffix}").unlink()


def _write(path: Path, content: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
