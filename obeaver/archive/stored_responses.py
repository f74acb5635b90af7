"""Stored responses as a collection. All of it belongs to one thread, and waits for the disk."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obeaver.archive.database import open_database
from obeaver.archive.stored_response import StoredItem, StoredResponse


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes:
        max_bytes: Of the file; beyond it the oldest responses go.
        max_age_s: Seconds after which a response is gone; 0: never.
    """

    max_bytes: int
    max_age_s: float


class TooLarge(Exception):
    """A response that is larger than all that may be kept."""


class StoredResponses:
    """The responses in one file.

    Args:
        path: The file; made where there is none.
        limits: How much is kept.
        clock: Seconds since 1970.

    Raises:
        sqlite3.Error: The file cannot be used.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path, limits: Limits, *, clock: Callable[[], float] = time.time) -> None:
        self._database = open_database(path)
        self._limits = limits
        self._clock = clock

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def put(self, response: StoredResponse) -> None:
        """Store a response, in the place of one with the same id; the oldest ones make room for it.

        Raises:
            TooLarge: It alone is more than may be kept. What was there stays.
            sqlite3.Error: It cannot be written.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM responses WHERE id = ?", (response.id,))
            key = database.execute(
                "INSERT INTO responses (id, owner, created, document) VALUES (?, ?, ?, ?)",
                (response.id, response.owner, response.created, _encoded(response.document)),
            ).lastrowid
            items = [*((item, False) for item in response.inputs), *((item, True) for item in response.output)]
            for place, (item, is_output) in enumerate(items):
                database.execute("INSERT INTO uses VALUES (?, ?, ?, ?)", (key, place, self._key(item), is_output))
            self._make_room(key)

    def get(self, response_id: str, owner: str) -> StoredResponse | None:
        """The response of this id, if there is one and it is this owner's."""
        with self._transaction("BEGIN") as database:
            row = database.execute(
                "SELECT key, created, document FROM responses WHERE id = ? AND owner = ? AND created >= ?",
                (response_id, owner, self._oldest()),
            ).fetchone()
            if row is None:
                return None
            key, created, document = row
            inputs, output = self._items(key, is_output=False), self._items(key, is_output=True)
        return StoredResponse(response_id, owner, created, _decoded(document), inputs, output)

    def find_items(self, ids: Iterable[str], owner: str) -> dict[str, StoredItem]:
        """This owner's items of these ids, as far as there are any; of those with the same id the latest."""
        found = {}
        for item_id in ids:
            row = self._database.execute(
                "SELECT items.key, items.document FROM items JOIN uses ON uses.item = items.key "
                "JOIN responses ON responses.key = uses.response "
                "WHERE items.id = ? AND responses.owner = ? AND responses.created >= ? "
                "ORDER BY items.key DESC LIMIT 1",
                (item_id, owner, self._oldest()),
            ).fetchone()
            if row is not None:
                found[item_id] = StoredItem(item_id, _decoded(row[1]), row[0])
        return found

    def delete(self, response_id: str, owner: str) -> bool:
        """Remove a response, with what no other one uses, from the disk as well; whether there was one."""
        with self._transaction() as database:
            deleted = database.execute(
                "DELETE FROM responses WHERE id = ? AND owner = ? AND created >= ?",
                (response_id, owner, self._oldest()),
            ).rowcount
        if deleted:
            # The log still has what was written before.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return bool(deleted)

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        self._database.execute(begin)
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _key(self, item: StoredItem) -> int | None:
        """The item's place; one whose responses have all gone since it was read is new again."""
        if item.key is not None:
            row = self._database.execute("SELECT key FROM items WHERE key = ?", (item.key,)).fetchone()
            if row is not None:
                return item.key
        inserted = self._database.execute(
            "INSERT INTO items (id, document) VALUES (?, ?)", (item.id, _encoded(item.document))
        )
        return inserted.lastrowid

    def _items(self, response_key: int, *, is_output: bool) -> tuple[StoredItem, ...]:
        rows = self._database.execute(
            "SELECT items.id, items.document, items.key FROM uses JOIN items ON items.key = uses.item "
            "WHERE uses.response = ? AND uses.is_output = ? ORDER BY uses.place",
            (response_key, is_output),
        )
        return tuple(StoredItem(item_id, _decoded(document), key) for item_id, document, key in rows)

    def _oldest(self) -> float:
        return self._clock() - self._limits.max_age_s if self._limits.max_age_s else 0.0

    def _make_room(self, newest_key: int | None) -> None:
        self._database.execute("DELETE FROM responses WHERE created < ? AND key != ?", (self._oldest(), newest_key))
        while self._used_bytes() > self._limits.max_bytes:
            oldest = self._database.execute(
                "SELECT key FROM responses WHERE key != ? ORDER BY key LIMIT 1", (newest_key,)
            ).fetchone()
            if oldest is None:
                raise TooLarge
            self._database.execute("DELETE FROM responses WHERE key = ?", oldest)

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (int(pages) - int(free)) * int(size)


def _encoded(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data.decode("utf-8", "surrogatepass"))
    return document
