"""Moving a store to another folder, on the same file system or another one.

Everything is moved piece by piece, a model being one piece. A piece is renamed where that is possible; else it is
copied beside its new place, checked, renamed into it, and then removed from its old place by a rename as well. So each
piece is whole in at least one of the two folders whenever a process is killed, and moving again goes on from there.
"""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from obeaver import home as homes
from obeaver.errors import StoreError
from obeaver.models import record as records
from obeaver.models.locks import Locks
from obeaver.models.progress import Progress, Stage
from obeaver.models.source_cache import remove_tree
from obeaver.models.store import Store

_LOCKS: Final = "locks"
_MODELS: Final = "models"
_WORK: Final = frozenset({".staging", ".removed"})
_ARRIVING: Final = ".arriving"
_LEAVING: Final = ".leaving"
# What may be in a folder that a store moves into, beside a store's own.
_NOT_MOVED: Final = frozenset({_LOCKS, _ARRIVING, _LEAVING, homes.FILE_NAME, f"{homes.LOCK_NAME}.lock"})
_OF_A_STORE: Final = frozenset({_MODELS, "sources", "downloads", "run_history", "responses"}) | _NOT_MOVED
# A database and its log: neither is anything without the other, or with another's.
_WHOLE: Final = frozenset({"responses"})
_COPY_BYTES: Final = 1 << 20


def require_store_place(target: Path) -> None:
    """See that a store can be in this folder.

    Raises:
        StoreError: It is a file, or a folder with other things in it.
    """
    if target.exists() and not target.is_dir():
        raise StoreError(f"{target} is not a folder")
    others = sorted(path.name for path in target.iterdir() if path.name not in _OF_A_STORE) if target.is_dir() else []
    if others and not (target / _MODELS).is_dir():
        raise StoreError(f"{target} holds other things ({', '.join(others[:3])}): give a new or empty folder")


def make_store(target: Path) -> None:
    """Make an empty store, where there is none yet.

    Raises:
        StoreError: The folder cannot be made.
    """
    try:
        (target / _MODELS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{target} cannot be made: {error.strerror}") from error


def require_movable(source: Path, target: Path) -> None:
    """See that a store can be moved, before anything is touched.

    Raises:
        StoreError: The folders are not apart, the new one cannot hold a store, or somebody works with the old one.
    """
    _require_apart(source, target)
    require_store_place(target)
    _require_unused(source)
    for name in set(Store(source).names()) & set(Store(target).names()):
        if not _same_model(source / _MODELS / name, target / _MODELS / name):
            raise StoreError(f"{source} and {target} both hold a model {name}: remove one of them")


def move_store(source: Path, target: Path, *, progress: Progress) -> int:
    """Move all of a store, or the rest of it.

    Args:
        source: Folder of the store.
        target: Its new folder, new, empty, or one that holds a store with other models.
        progress: Sees the bytes that have to be copied.

    Returns:
        How many models were moved.

    Raises:
        StoreError: Somebody works with the store, there is no room, both have a model of the same name that is not the
            same, or the file system refuses.
    """
    require_movable(source, target)
    make_store(target)
    move = _Move(Store(source), Store(target), progress)
    try:
        num_models = move.all()
    except OSError as error:
        raise StoreError(f"the model store cannot be moved from {source} to {target}: {error}") from error
    _remove_shell(source)
    return num_models


class _Move:
    def __init__(self, source: Store, target: Store, progress: Progress) -> None:
        self._source, self._target, self._progress = source, target, progress

    def all(self) -> int:
        for place in (self._target.home / _ARRIVING, self._source.home / _LEAVING):
            remove_tree(place)
        self._source.clean()
        self._require_room()
        names = self._source.names()
        for name in names:
            with self._source.locked(name), self._target.locked(name):
                self._model(name)
        for path in [*_children(self._source.home), *_children(self._source.home / _MODELS)]:
            if path.name not in {*_NOT_MOVED, _MODELS, *_WORK}:
                self._merge(path, self._target.home / path.relative_to(self._source.home))
        for place in (self._target.home / _ARRIVING, self._source.home / _LEAVING):
            remove_tree(place)
        return len(names)

    def _require_room(self) -> None:
        if self._source.home.stat().st_dev != self._target.home.stat().st_dev:
            self._target.require_space(_bytes_of(self._source.home), purpose=f"all of {self._source.home}")

    def _model(self, name: str) -> None:
        old, new = self._source.home / _MODELS / name, self._target.home / _MODELS / name
        if new.exists():  # copied by a move that ended before it removed
            self._discard(old)
        else:
            self._piece(old, new)

    def _merge(self, old: Path, new: Path) -> None:
        """Move what is no model: what is in both places is merged."""
        if not new.exists():
            self._piece(old, new)
        elif old.name in _WHOLE and _same_files(old, new):  # copied by a move that ended before it removed
            self._discard(old)
        elif old.name in _WHOLE:
            self._progress.note(f"{old} stays, because {new} is there already")
        elif old.is_dir() and new.is_dir():
            for path in _children(old):
                self._merge(path, new / path.name)
            old.rmdir()
        elif _same_file(old, new):
            old.unlink()
        else:
            self._progress.note(f"{old} stays, because {new} is there already")

    def _piece(self, old: Path, new: Path) -> None:
        try:
            old.rename(new)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copied(old, new)

    def _copied(self, old: Path, new: Path) -> None:
        size = _bytes_of(old)
        self._target.require_space(size, purpose=old.name)
        arriving = self._target.home / _ARRIVING / new.name
        remove_tree(arriving)
        arriving.parent.mkdir(exist_ok=True)
        with self._progress.stage(f"copy {old.name}", size) as stage:
            _copy(old, arriving, stage)
        _require_same(old, arriving)
        arriving.rename(new)
        self._discard(old)

    def _discard(self, old: Path) -> None:
        """Remove a piece so that it is there or not, never a part of it."""
        leaving = self._source.home / _LEAVING
        leaving.mkdir(exist_ok=True)
        gone = leaving / old.name
        old.rename(gone)
        if gone.is_dir():
            remove_tree(gone)
        else:
            gone.unlink()


def _require_apart(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there:
        raise StoreError(f"the model store is in {target} already")
    if here in there.parents or there in here.parents:
        raise StoreError(f"{target} and {source} lie inside each other: give a folder apart")


def _require_unused(source: Path) -> None:
    """Nobody serves a model of the store, or fetches one into it."""
    store = Store(source)
    for name in store.names():
        if users := store.users(name):
            raise StoreError(f"{name} is in use by process {', '.join(map(str, users))}: stop it first")
    locks = Locks(source / _LOCKS)
    for path in sorted((source / _LOCKS).glob("*.lock")):
        with locks.try_hold(path.stem) as free:
            if not free:
                raise StoreError(f"another process works on {path.stem} in {source}: wait until it is done")


def _copy(old: Path, new: Path, stage: Stage) -> None:
    """A file or a folder with times and links, flushed to the disk."""
    if old.is_symlink():
        new.symlink_to(old.readlink())
        return
    if old.is_dir():
        new.mkdir()
        for path in _children(old):
            _copy(path, new / path.name, stage)
        shutil.copystat(old, new)
        return
    with old.open("rb") as reading, new.open("wb") as writing:
        while piece := reading.read(_COPY_BYTES):
            writing.write(piece)
            stage.advance(len(piece))
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copystat(old, new)


def _require_same(old: Path, new: Path) -> None:
    """A copy is what the original's record says; without a record, it has the same files of the same sizes."""
    try:
        records.check(new, records.check(old, records.read(old)), deep=True)
    except records.Damaged:
        if not _same_sizes(old, new):
            raise StoreError(f"{old} was copied wrongly: nothing was removed, try again") from None


def _same_sizes(old: Path, new: Path) -> bool:
    return _sizes(old) == _sizes(new)


def _sizes(place: Path) -> dict[str, int]:
    return {os.path.relpath(path, place): path.lstat().st_size for path in _files(place)}


def _same_model(old: Path, new: Path) -> bool:
    try:
        return records.read(old).files == records.read(new).files
    except records.Damaged:
        return False


def _same_files(old: Path, new: Path) -> bool:
    names = [path.name for path in _children(old)]
    return names == [path.name for path in _children(new)] and all(_same_file(old / name, new / name) for name in names)


def _same_file(old: Path, new: Path) -> bool:
    return old.is_file() and new.is_file() and filecmp.cmp(old, new, shallow=False)


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir() and not place.is_symlink():
        for path in _children(place):
            yield from _files(path)
    else:
        yield place


def _bytes_of(place: Path) -> int:
    return sum(path.lstat().st_size for path in _files(place))


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _remove_shell(source: Path) -> None:
    """What a store leaves when everything has moved out: its locks, empty folders, and then itself."""
    remove_tree(source / _LOCKS)
    for folder in (*(source / _MODELS / name for name in _WORK), source / _MODELS, source):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
