"""The model store: one folder, complete entries or none.

    OBEAVER_HOME/                 `~/.obeaver` unless told otherwise; `obeaver.home` says how
      models/<name>/              one complete model: its files, and `store.json`, which lists them
      models/.staging/<name>-*/   one being made, by the process that holds its lock
      models/.removed/<name>-*/   one on its way out: removed, or replaced (a damaged one is, when it is made anew)
      sources/<sha256>.gguf       the file a model was imported from, kept for imports in other formats; goes with the
                                  last model made from it; `sources/<sha256>/` where it was several files
      downloads/<key>/            a fetch that can be resumed, kept for a week when it fails
      downloads/<key>-*/          a fetch that cannot, removed when it fails
      locks/                      `model-<name>.lock`, `download-<key>.lock`, `source-<sha256>.lock`, `in-use/` for
                                  who serves what, and `servers/` for who serves at all

An entry appears by one rename of a finished folder within `models/`, and disappears by one. So whoever looks sees all
of it or nothing, whenever a process is killed. Staging and download folders belong to the holder of the lock; the next
one who gets that lock, or `Store.clean`, removes what is left of an owner who died.

Locks are taken in one order, a model's, its download's, its source's, and no process holds two of a kind.
"""

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from obeaver.errors import StoreError
from obeaver.models import record as records
from obeaver.models.in_use import InUse
from obeaver.models.locks import Locks
from obeaver.models.names import checked_name, is_name
from obeaver.models.origin import Origin
from obeaver.models.record import Damaged, Recipe, Record
from obeaver.models.source_cache import SourceCache, remove_tree

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A complete model on disk.

    Attributes:
        name: What it is called; the folder's name for one outside the store.
        folder: Its folder.
        recipe: What it was made from, where that is known.
        size_bytes: Bytes of its files.
        created: When it was completed, in seconds since 1970.
        origin: Where it came from, where that is known.
        made_by: The importer and its version, where it was imported and that is known.
    """

    name: str
    folder: Path
    recipe: Recipe | None
    size_bytes: int
    created: int
    origin: Origin | None = None
    made_by: str | None = None


def _nobody_cares() -> None:
    """Default of `on_wait`."""


class Store:
    """The models below one folder.

    Args:
        home: The folder; made when something is first written.
        clock: Seconds since 1970.
    """

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.home = home
        self._clock = clock
        self._models = home / "models"
        self._locks = Locks(home / "locks")
        self._in_use = InUse(home / "locks")
        self.sources = SourceCache(home, self._locks, clock=clock)

    def list(self) -> list[StoredModel]:
        """Every complete model, by name."""
        return [model for name in self.names() if (model := self.find(name)) is not None]

    def names(self) -> tuple[str, ...]:
        """Of every model, the damaged ones included."""
        return tuple(sorted(path.name for path in _folders(self._models) if is_name(path.name)))

    def find(self, name: str) -> StoredModel | None:
        """The model of this name; None when there is none, or when it is damaged (which is logged).

        Costs a few `stat` calls; content is read only after a file's time has changed.

        Raises:
            StoreError: No model can have this name.
        """
        folder = self._models / checked_name(name)
        if not folder.is_dir():
            return None
        try:
            return _stored(folder, self._checked(folder))
        except Damaged as reason:
            logger.warning("the stored model %s is damaged and will not be used: %s", folder.name, reason)
            return None

    def recorded(self, name: str) -> StoredModel | None:
        """What the record of this model says, whether or not its files are so; None when it has none."""
        folder = self._models / checked_name(name)
        try:
            return _stored(folder, records.read(folder))
        except Damaged:
            return None

    def check(self, name: str, *, deep: bool = False) -> StoredModel:
        """The model of this name, after a check of its files.

        Args:
            name: One of `names`.
            deep: Read all content, also of files whose size and time are right.

        Raises:
            Damaged: It is not what its record says; the text is the reason.
        """
        folder = self._models / checked_name(name)
        return _stored(folder, records.check(folder, records.read(folder), deep=deep))

    def use(self, model: StoredModel) -> AbstractContextManager[None]:
        """Show for the length of the block that this process uses a model; nothing to show for one from elsewhere."""
        return self._in_use.mark(model.name) if model.folder.parent == self._models else nullcontext()

    def users(self, name: str) -> tuple[int, ...]:
        """Ids of the processes that use the model of this name."""
        return self._in_use.users(checked_name(name))

    @contextmanager
    def locked(self, name: str, *, on_wait: Callable[[], None] = _nobody_cares) -> Iterator["Claim"]:
        """Be the only one who makes or removes this model.

        Args:
            name: Of the model.
            on_wait: Called once when another process is at it.

        Raises:
            StoreError: No model can have this name, or the store cannot be written.
        """
        name = checked_name(name)
        with self._locks.hold(_lock_name(name), on_wait=on_wait):
            self._remove_leftovers(name)
            yield Claim(name, self._models, self._clock)

    @contextmanager
    def staging(self, name: str, *, recipe: Recipe | None = None) -> Iterator[Path]:
        """`locked` and `Claim.staging` in one: an empty folder that becomes the model at the end of the block."""
        with self.locked(name) as claim, claim.staging(recipe) as folder:
            yield folder

    def remove(self, name: str, *, force: bool = False, on_wait: Callable[[], None] = _nobody_cares) -> None:
        """Remove the model, and its source file where no other model was made from it.

        Args:
            name: Of the model, which may be damaged.
            force: Remove it although a process uses it.
            on_wait: As for `locked`.

        Raises:
            StoreError: There is no such model, it is in use, or it cannot be removed.
        """
        with self.locked(name, on_wait=on_wait) as claim:
            if (users := self.users(claim.name)) and not force:
                raise StoreError(f"{claim.name} is in use by process {', '.join(map(str, users))}")
            source = self._source_of(claim.name)
            claim.remove()
        if source is not None:
            self.release_source(source)

    def release_source(self, sha256: str) -> None:
        """Remove a source file that no model was made from."""
        self.sources.remove(sha256, still_used=lambda: self._is_source(sha256))

    def clean(self) -> None:
        """Remove what dead processes left behind."""
        leftovers = [*_folders(self._models / ".staging"), *_folders(self._models / ".removed")]
        for name in {path.name.rpartition("-")[0] for path in leftovers}:
            with self._locks.try_hold(_lock_name(name)) as held:
                if held:
                    self._remove_leftovers(name)
        self.sources.clean()

    def require_space(self, needed_bytes: int, *, purpose: str) -> None:
        """See that the store's disk has room.

        Raises:
            StoreError: It has not; says how much is needed and how much is there.
        """
        free_bytes = shutil.disk_usage(_nearest_existing(self.home)).free
        if free_bytes < needed_bytes:
            raise StoreError(
                f"not enough space in {self.home} for {purpose}: "
                f"{needed_bytes / 1e6:,.0f} MB needed, {free_bytes / 1e6:,.0f} MB free"
            )

    def _checked(self, folder: Path) -> Record:
        recorded = records.read(folder)
        found = records.check(folder, recorded)
        if found != recorded:
            try:
                records.write(folder, found)
            except OSError as error:  # a store that cannot be written still serves, only slower
                logger.info("cannot update the record of %s: %s", folder, error)
        return found

    def _source_of(self, name: str) -> str | None:
        try:
            recipe = records.read(self._models / name).recipe
        except Damaged:
            return None
        return None if recipe is None else recipe.source_sha256

    def _is_source(self, sha256: str) -> bool:
        return any(self._source_of(folder.name) == sha256 for folder in _folders(self._models))

    def _remove_leftovers(self, name: str) -> None:
        for parent in (self._models / ".staging", self._models / ".removed"):
            for folder in _folders(parent):
                if folder.name.rpartition("-")[0] == name:
                    logger.info("removing what an ended process left: %s", folder)
                    remove_tree(folder)


class Claim:
    """One model's place in the store, while its lock is held. Made by `Store.locked`."""

    def __init__(self, name: str, models: Path, clock: Callable[[], float]) -> None:
        self.name = name
        self._models = models
        self._clock = clock

    @contextmanager
    def staging(
        self,
        recipe: Recipe | None = None,
        *,
        origin: Origin | None = None,
        made_by: str | None = None,
        hashes: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Path]:
        """An empty folder that becomes the model when the block ends, and vanishes when it fails.

        Args:
            recipe: What the model is made from, where it is imported.
            origin: Where that comes from.
            made_by: The importer and its version.
            hashes: The SHA-256 of files whose writer knows it, by their paths in the folder; looked at after the block.

        Raises:
            StoreError: The store cannot be written.
        """
        staging = self._new_folder(".staging")
        try:
            yield staging
            with self._refused("completed"):
                created = int(self._clock())
                record = records.take(staging, recipe, created=created, origin=origin, made_by=made_by, hashes=hashes)
                records.write(staging, record)
                self._put(staging)
        finally:
            if staging.exists():
                remove_tree(staging)

    def remove(self) -> None:
        """Take the model out of the store, damaged or not.

        Raises:
            StoreError: There is no such model, or it cannot be removed.
        """
        place = self._models / self.name
        if not place.is_dir():
            raise StoreError(f"there is no model named {self.name} in {self._models}")
        with self._refused("removed"):
            self._discard(place)

    def _put(self, staging: Path) -> None:
        place = self._models / self.name
        if not place.exists():
            staging.replace(place)
            return
        removed = self._new_folder(".removed")
        place.replace(removed / self.name)
        try:
            staging.replace(place)
        except OSError:
            (removed / self.name).replace(place)
            raise
        finally:
            remove_tree(removed)

    def _discard(self, place: Path) -> None:
        removed = self._new_folder(".removed")
        place.replace(removed / self.name)
        remove_tree(removed)

    def _new_folder(self, kind: str) -> Path:
        folder = self._models / kind / f"{self.name}-{secrets.token_hex(4)}"
        with self._refused("written"):
            folder.mkdir(parents=True)
        return folder

    @contextmanager
    def _refused(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"the model {self.name} cannot be {what} in {self._models}: {error.strerror}") from error


def _stored(folder: Path, record: Record) -> StoredModel:
    return StoredModel(
        folder.name, folder, record.recipe, record.size_bytes, record.created, record.origin, record.made_by
    )


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _nearest_existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _nearest_existing(path.parent)


def _lock_name(name: str) -> str:
    return f"model-{name}"
