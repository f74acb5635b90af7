"""Where the model store is when nobody says: `~/.obeaver`, or where `obeaver init DIR` put it.

The choice stands in `~/.obeaver/home.json`, which stays there when the store moves away: `{"home": "/srv/models"}`.
While a store is being moved it also says where to, so that nobody takes half of it for the whole.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from obeaver.errors import StoreError

DEFAULT_HOME: Final = Path("~/.obeaver")
FILE_NAME: Final = "home.json"
LOCK_NAME: Final = "home"
"""Name of the lock that whoever moves the store holds; its file stands beside the note."""


@dataclass(frozen=True, slots=True)
class HomeNote:
    """What is remembered.

    Attributes:
        home: The store's folder.
        moving_to: Where it is on its way to; None where it rests.
    """

    home: Path
    moving_to: Path | None = None


def note_folder() -> Path:
    """Folder of the note."""
    return DEFAULT_HOME.expanduser()


def read_note() -> HomeNote:
    """What is remembered; the default where nothing is.

    Raises:
        StoreError: The note cannot be understood; names its file.
    """
    path = note_folder() / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        moving_to = data.get("moving_to")
        return HomeNote(Path(data["home"]), None if moving_to is None else Path(moving_to))
    except (FileNotFoundError, NotADirectoryError):
        return HomeNote(note_folder())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} cannot be understood ({type(error).__name__}): remove it, then run obeaver init DIR with the "
            "folder of the model store"
        ) from error


def write_note(note: HomeNote) -> None:
    """Remember, in one step.

    Raises:
        StoreError: The note cannot be written.
    """
    path = note_folder() / FILE_NAME
    data = {"home": str(note.home)} | ({} if note.moving_to is None else {"moving_to": str(note.moving_to)})
    partial = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def remembered_home() -> Path:
    """The store's folder.

    Raises:
        StoreError: It is being moved, or its note cannot be understood.
    """
    note = read_note()
    if note.moving_to is not None:
        raise StoreError(
            f"the model store is on its way from {note.home} to {note.moving_to}: wait for it, or run obeaver init to "
            "finish what was interrupted"
        )
    return note.home
