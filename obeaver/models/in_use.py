"""Who uses a stored model: a mark for each process and model, `locks/in-use/<name>@<pid>-<token>.lock`.

A store that cannot be written is used without leaving a mark.
"""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from obeaver.models.marks import Marks

logger = logging.getLogger(__name__)

FOLDER: Final = "in-use"


class InUse:
    """The models of one store.

    Args:
        locks: Folder of the store's locks.
    """

    def __init__(self, locks: Path) -> None:
        self._marks = Marks(locks / FOLDER)

    def mark(self, name: str) -> AbstractContextManager[None]:
        """Show for the length of the block that this process uses the model of this name."""
        return self._marks.kept(
            f"{name}@", on_refused=lambda error: logger.info("the use of %s is not marked: %s", name, error)
        )

    def users(self, name: str) -> tuple[int, ...]:
        """Ids of the processes that use the model now, this one's included.

        Raises:
            StoreError: The store cannot be written, so it cannot be told.
        """
        return tuple(sorted({_pid(path) for path in self._marks.found(f"{name}@") if self._marks.stands(path)}))


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("@")[2].partition("-")[0])
