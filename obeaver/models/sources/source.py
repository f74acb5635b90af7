"""What a source of model files is."""

from pathlib import Path
from typing import Protocol

from obeaver.models.progress import Progress


class Source(Protocol):
    """A file, or a folder of some, in one place outside the store, known by its hash."""

    @property
    def sha256(self) -> str:
        """Of the file, in hexadecimal."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        ...

    @property
    def space_bytes(self) -> int:
        """What a fetch takes at most below its folder, the file included."""
        ...

    def fetch(self, folder: Path, *, progress: Progress) -> Path:
        """Bring the file or folder into an empty folder and check it.

        Returns:
            It, inside the folder, with the size and the hash it should have.

        Raises:
            FetchError: It cannot be had, or is not what it should be; nothing usable was left.
        """
        ...
