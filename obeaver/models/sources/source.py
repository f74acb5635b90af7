"""What a source of models is: a place, and what it offers when it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from obeaver.models.origin import Form, Origin
from obeaver.models.progress import Progress


@dataclass(frozen=True, slots=True)
class Offer:
    """A file or a folder that can be had, exactly; nothing of it was fetched yet.

    Attributes:
        form: What it is: a GGUF file or safetensors to import, or a folder that is served as it is.
        key: 64 hexadecimal digits that stand for exactly this; the same for everybody who fetches it.
        sha256: Of the file, or of the folder as `record.tree_sha256` makes it, where that is known before.
        name: What a model made of it would be called.
        origin: Where it is; None for what an older version kept without saying.
        size_bytes: Of all files.
        space_bytes: What a fetch takes at most below its folder, the result included.
        is_remote: Whether a fetch reaches out; else the result is the file or folder where it stands, which stays.
        is_resumable: Whether a fetch can go on from what an earlier one left in the folder; else that must be empty.
        fetch: Brings it into a folder, checks it, and gives the file or the folder, inside that folder. Raises
            FetchError when it cannot be had or is not what it should be, OSError when the disk refuses.
        num_weights: About how many weights a GGUF file has; None where that decides nothing.
    """

    form: Form
    key: str
    sha256: str | None
    name: str
    origin: Origin | None
    size_bytes: int
    space_bytes: int
    is_remote: bool
    is_resumable: bool
    fetch: Callable[[Path, Progress], Path]
    num_weights: int | None = None


class Source(Protocol):
    """A place outside the store that has a model's files."""

    @property
    def sha256(self) -> str | None:
        """As in `Offer`, where the place need not be asked for it."""
        ...

    @property
    def asks(self) -> bool:
        """Whether `offer` reaches out."""
        ...

    def gave(self, origin: Origin) -> bool:
        """Whether a model of this origin is what was asked for, where no hash tells; never reaches out."""
        ...

    def name_of(self, origin: Origin) -> str:
        """What the offer's name was that led to this origin; never reaches out."""
        ...

    def offer(self, progress: Progress) -> Offer:
        """Ask the place.

        Raises:
            FetchError: It cannot be reached, or refuses.
            ModelError: It has nothing that could be served.
        """
        ...
