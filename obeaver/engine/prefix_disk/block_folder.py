"""All blocks in a folder, of whatever models: how many bytes they are, and which go when there are too many.

Every model has a folder of its own in it, and the bound is for all of them together. Whoever is used becomes the
youngest, and the oldest goes first; within a prompt the blocks are touched so that its end goes before its beginning.

Others may write and remove here too. So what is counted is what was found at the last look, and what was written since;
a look is taken at the start, when the bound is met, and after each twentieth part of it that was written.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from obeaver.engine.prefix_disk.block_files import PARTIAL, SUFFIX, BlockFiles, remove
from obeaver.engine.runners.runner import KvBlock, KvLayout

_MODEL: Final = "kv-"
_MODEL_NAME: Final = re.compile(r"kv-[0-9a-f]{32}")
_FILE_NAME: Final = re.compile(rf"[0-9a-f]{{64}}(?:\.[0-9]+-[0-9a-f]+{re.escape(PARTIAL)}|{re.escape(SUFFIX)})")
_MODEL_NAME_BYTES: Final = 16

_PART: Final = 20
"""One part in so many of the bound is written between two looks, and made free when the bound is met."""

_ABANDONED_S: Final = 600.0
"""A file that is still being written after this long has lost its writer."""


class _Found(NamedTuple):
    used_ns: int
    size_bytes: int
    path: Path


class BlockFolder:
    """The blocks of one model, and the bound for those of all. Belongs to one thread, but for `knows` and `read`.

    Args:
        root: The folder; it and what is missing above it are made with the first block.
        origin: Digest of whatever computes the blocks.
        layout: Of the blocks.
        budget_bytes: Most bytes of all files.
    """

    def __init__(self, root: Path, origin: bytes, layout: KvLayout, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self.files = BlockFiles(root / f"{_MODEL}{origin[:_MODEL_NAME_BYTES].hex()}", layout)
        self._root = root
        self._known: set[str] = set()
        self._unseen_bytes = 0

    def knows(self, key: str) -> bool:
        """Whether there was such a block at the last look, or it was written since. Any thread may ask."""
        return key in self._known

    def read(self, key: str) -> KvBlock | None:
        """The block of this key, if it is there. Any thread may ask.

        Raises:
            OSError: It cannot be read.
        """
        block = self.files.read(key) if self.files.is_private() else None
        if block is None:
            self._known.discard(key)
        return block

    def write(self, key: str, block: KvBlock) -> bool:
        """Store a block; whether there is room for it at all.

        Raises:
            OSError: It cannot be stored.
        """
        size_bytes = self.files.file_bytes
        if size_bytes > self.budget_bytes:
            return False
        if self._unseen_bytes > self.budget_bytes // _PART:
            self.look()
        if self.used_bytes + size_bytes > self.budget_bytes:
            self._make_room(size_bytes)
        if not self.files.is_private():
            raise PermissionError(f"{self.files.folder} is open to other users")
        self.files.write(key, block)
        self._known.add(key)
        self.used_bytes += size_bytes
        self._unseen_bytes += size_bytes
        return True

    def look(self) -> list[_Found]:
        """See what is there, oldest first, and remove what was abandoned half written.

        Raises:
            OSError: The folder cannot be read.
        """
        found, known = [], set()
        abandoned_ns = time.time_ns() - int(_ABANDONED_S * 1e9)
        for each in self._all():
            if each.path.name.endswith(PARTIAL) and each.used_ns < abandoned_ns:
                with suppress(OSError):
                    remove(each.path)
                    continue
            found.append(each)
            if each.path.parent == self.files.folder and each.path.suffix == SUFFIX:
                known.add(each.path.stem)
        self._known = known
        self.used_bytes = sum(each.size_bytes for each in found)
        self._unseen_bytes = 0
        return sorted(found)

    def _make_room(self, size_bytes: int) -> None:
        """Remove the oldest, until there is room for so much and a part of the budget."""
        least = self.budget_bytes - max(size_bytes, self.budget_bytes // _PART)
        for oldest in self.look():
            if self.used_bytes <= least:
                break
            remove(oldest.path)
            self.used_bytes -= oldest.size_bytes
            if oldest.path.parent == self.files.folder:
                self._known.discard(oldest.path.stem)
            else:
                with suppress(OSError):  # there are more in it
                    oldest.path.parent.rmdir()

    def _all(self) -> Iterator[_Found]:
        """Every file that some server has made here, as far as this user may see them."""
        try:
            models = [each for each in self._root.iterdir() if _MODEL_NAME.fullmatch(each.name)]
        except FileNotFoundError:
            return
        for model in models:
            with suppress(OSError):  # gone, or of another user
                for path in model.iterdir():
                    if _FILE_NAME.fullmatch(path.name):
                        yield from _state(path)


def _state(path: Path) -> Iterator[_Found]:
    with suppress(OSError):  # others remove too
        state = path.lstat()
        yield _Found(state.st_mtime_ns, state.st_size, path)
