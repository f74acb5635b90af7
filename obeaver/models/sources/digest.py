"""Hashes that a source states for its files: SHA-256, or git's own name of a blob."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_PIECE_BYTES: Final = 1 << 20


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take in some bytes."""
        ...

    def hexdigest(self) -> str:
        """The hash of all bytes so far."""
        ...


@dataclass(frozen=True, slots=True)
class Digest:
    """The hash that a file must have.

    Attributes:
        algorithm: `sha256`, or `git-sha1`, which small files of a git repository are known by.
        value: In hexadecimal.
    """

    algorithm: str
    value: str

    def hasher(self, size_bytes: int) -> Hasher:
        """An empty one, for a file of this size."""
        if self.algorithm == "sha256":
            return hashlib.sha256()
        # Git hashes "blob", the size and a zero before the content. It names files with it, nothing is signed.
        return hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False)


def feed(hasher: Hasher, path: Path) -> int:
    """Hash a file; its size."""
    size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
            size += len(piece)
    return size
