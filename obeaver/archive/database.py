"""The archive's SQLite file: how it is opened, and what is in it.

    responses   one row each: whose it is, when it was made, and what it says of itself
    items       pieces of conversations; one that several responses share stands there once
    uses        which response has which items, in which order

A response that goes on with another one shares that one's items. So it stays whole when the other one is removed, and
each text of a conversation is there once, however many turns it has. An item goes with the last response that uses it.

Content that is removed is overwritten (`secure_delete`), and the file is never larger than what is in it
(`auto_vacuum`). Source of all pragmas: SQLite's documentation, "PRAGMA Statements" and "Write-Ahead Logging".
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_S: Final = 10.0
"""How long another server on the same file may take for its transaction."""

_VERSION: Final = 1
"""Of the schema, which writes it into the file."""

_CHECKPOINT_PAGES: Final = 256
"""A megabyte of log at most is left beside the file."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS responses (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS responses_created ON responses (created);
CREATE TABLE IF NOT EXISTS items (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS items_id ON items (id);
CREATE TABLE IF NOT EXISTS uses (
    response INTEGER NOT NULL REFERENCES responses ON DELETE CASCADE,
    place INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES items,
    is_output INTEGER NOT NULL,
    PRIMARY KEY (response, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_item ON uses (item);
CREATE TRIGGER IF NOT EXISTS unused_items AFTER DELETE ON uses
WHEN NOT EXISTS (SELECT 1 FROM uses WHERE item = OLD.item)
BEGIN
    DELETE FROM items WHERE key = OLD.item;
END;
PRAGMA user_version = 1;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file; make it, readable for its owner alone, where there is none.

    Raises:
        sqlite3.Error: It is no such file, damaged, of another version, or cannot be written.
        OSError: It cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its log and index the permissions of the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA secure_delete = ON")
    database.execute("PRAGMA auto_vacuum = FULL")
    database.execute("PRAGMA journal_mode = WAL")
    # A commit survives the end of the process; the last ones may not survive a loss of power, the file always does.
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    database.execute("PRAGMA journal_size_limit = 0")
    database.execute("PRAGMA foreign_keys = ON")
    if _version(database) == 0:
        # Another server may be doing the same.
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    if _version(database) != _VERSION:
        raise sqlite3.DatabaseError(f"it was made by another version of obeaver (version {_version(database)})")


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version
