"""The archive as the event loop sees it: a thread of its own waits for the disk.

The file is opened when something is first stored or looked for. What could not be opened is tried again with the next
request: a disk that was full may have room by then.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from obeaver.archive.stored_response import StoredItem, StoredResponse
from obeaver.archive.stored_responses import Limits, StoredResponses, TooLarge
from obeaver.errors import ArchiveUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Archive:
    """Stored responses.

    Args:
        path: The file.
        limits: How much is kept.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="obeaver-archive")
        self._responses: StoredResponses | None = None

    async def put(self, response: StoredResponse) -> bool:
        """Store a response, in the place of one with the same id. Whether it was: why not is in the log."""
        try:
            await self._done(lambda: self._opened().put(response))
        except ArchiveUnavailable:
            return False
        except TooLarge:
            logger.warning("a response was not stored: it is larger than --stored-responses-mb allows")
            return False
        return True

    async def get(self, response_id: str, owner: str) -> StoredResponse | None:
        """The response of this id, if there is one and it is this owner's.

        Raises:
            ArchiveUnavailable: It cannot be read.
        """
        return await self._done(lambda: self._opened().get(response_id, owner) if self._exists() else None)

    async def find_items(self, ids: Iterable[str], owner: str) -> dict[str, StoredItem]:
        """This owner's items of these ids, as far as there are any.

        Raises:
            ArchiveUnavailable: They cannot be read.
        """
        wanted = tuple(ids)
        return await self._done(lambda: self._opened().find_items(wanted, owner) if self._exists() else {})

    async def delete(self, response_id: str, owner: str) -> bool:
        """Remove a response; whether there was one.

        Raises:
            ArchiveUnavailable: It cannot be removed.
        """
        return await self._done(lambda: self._opened().delete(response_id, owner) if self._exists() else False)

    async def close(self) -> None:
        """Finish what is under way, and give the file back."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._closed)
        self._thread.shutdown()

    async def _done(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                logger.error("stored responses cannot be used (%s): %s", self._path, error)
                self._closed()
                raise ArchiveUnavailable("Stored responses cannot be used now; the server's log says why.") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _exists(self) -> bool:
        """Whether there is anything to look at: looking makes no file."""
        return self._responses is not None or self._path.exists()

    def _opened(self) -> StoredResponses:
        if self._responses is None:
            self._responses = StoredResponses(self._path, self._limits)
        return self._responses

    def _closed(self) -> None:
        if self._responses is not None:
            opened, self._responses = self._responses, None
            opened.close()
