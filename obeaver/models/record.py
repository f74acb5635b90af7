"""What a stored model's folder must hold: its files, with sizes and hashes, written last and checked at each start.

The record is `store.json` inside the folder. A check at start-up looks at sizes and times alone, which costs a few
`stat` calls; content is hashed only when a file's time is not the recorded one (a copied or restored store).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from obeaver.models.origin import Origin

FILE_NAME: Final = "store.json"
_VERSION: Final = 1


class Damaged(Exception):
    """The folder is not what its record says, or has none; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a stored model was made from. The same recipe gives the same model.

    Attributes:
        source_sha256: Of the file or folder.
        weights: Their format.
        kv: Format of the KV cache.
        context: Tokens that it was to be able to use; None is the usual number.
    """

    source_sha256: str
    weights: str
    kv: str
    context: int | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the folder."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """One stored model.

    Attributes:
        created: When it was completed, in seconds since 1970.
        recipe: None for a model that was not imported.
        files: Every file, by its path relative to the folder, with forward slashes.
        origin: Where it came from, where that is known.
        made_by: The importer and its version, as `importers.maker` names it; None where there was none, or where a
            record was written before they had versions.
    """

    created: int
    recipe: Recipe | None
    files: Mapping[str, FileRecord]
    origin: Origin | None = None
    made_by: str | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files.values())


def take(
    folder: Path,
    recipe: Recipe | None,
    *,
    created: int,
    origin: Origin | None = None,
    made_by: str | None = None,
    hashes: Mapping[str, str] = MappingProxyType({}),
) -> Record:
    """Record what is in the folder, after all of it has reached the disk.

    Args:
        folder: The model's.
        recipe: See `Record`.
        created: See `Record`.
        origin: See `Record`.
        made_by: See `Record`.
        hashes: The SHA-256 of files that need not be read for it.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / FILE_NAME)
    names = [path.relative_to(folder).as_posix() for path in paths]
    files = {name: _record_file(folder / name, hashes.get(name)) for name in names}
    return Record(created, recipe, files, origin, made_by)


def write(folder: Path, record: Record) -> None:
    """Put the record into its folder, in one step."""
    partial = folder / f".{FILE_NAME}.{os.getpid()}"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"version": _VERSION, **asdict(record)}, file, indent=1)
        _sync(file.fileno())
    partial.replace(folder / FILE_NAME)


def read(folder: Path) -> Record:
    """The folder's record.

    Raises:
        Damaged: There is none, or it cannot be understood.
    """
    try:
        return _parse(json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Damaged(f"it has no {FILE_NAME}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"its {FILE_NAME} cannot be read ({type(error).__name__}: {error})") from error


def check(folder: Path, record: Record, *, deep: bool = False) -> Record:
    """See that the files are those of the record.

    Args:
        folder: Where they are.
        record: What they should be.
        deep: Read all content, also of files whose size and time are right.

    Returns:
        The same record, or one with new times where only those differed.

    Raises:
        Damaged: A file is missing or another one.
    """
    found = {name: _check_file(folder / name, file, deep=deep) for name, file in record.files.items()}
    return replace(record, files=found)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(files: Mapping[str, str]) -> str:
    """One hash for several files.

    Args:
        files: Each file's path, with forward slashes, to its SHA-256.
    """
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def folder_sha256(folder: Path) -> str:
    """`tree_sha256` of all files in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return tree_sha256({path.relative_to(folder).as_posix(): sha256_of(path) for path in paths})


def _record_file(path: Path, sha256: str | None) -> FileRecord:
    with path.open("r+b") as file:  # writable, because Windows flushes no other kind
        _sync(file.fileno())
        digest = sha256 or hashlib.file_digest(file, "sha256").hexdigest()
    stat = path.stat()
    return FileRecord(stat.st_size, stat.st_mtime_ns, digest)


def _sync(descriptor: int) -> None:
    """After a power cut a record must not outlive what it describes."""
    os.fsync(descriptor)


def _parse(data: Any) -> Record:
    if data["version"] != _VERSION:
        raise ValueError(f"version {data['version']}")
    recipe = None if data["recipe"] is None else Recipe(**data["recipe"])
    origin = None if data.get("origin") is None else Origin(**data["origin"])
    files = {name: FileRecord(**file) for name, file in data["files"].items()}
    return Record(int(data["created"]), recipe, files, origin, data.get("made_by"))


def _check_file(path: Path, expected: FileRecord, *, deep: bool) -> FileRecord:
    try:
        stat = path.stat()
    except OSError:
        raise Damaged(f"{path.name} is missing") from None
    if stat.st_size != expected.size_bytes:
        raise Damaged(f"{path.name} has {stat.st_size} bytes instead of {expected.size_bytes}")
    if stat.st_mtime_ns == expected.mtime_ns and not deep:
        return expected
    if sha256_of(path) != expected.sha256:
        raise Damaged(f"{path.name} was changed")
    return FileRecord(expected.size_bytes, stat.st_mtime_ns, expected.sha256)
