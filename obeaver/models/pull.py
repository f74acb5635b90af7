"""From a name or a path to a model folder that is ready: found in the store, or fetched and imported into it.

A fetch happens only when the store lacks what was asked for, and only by a name of the catalogue: a path never makes
obeaver reach out. All work is done under the model's lock, in folders that appear in the store when they are complete.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from obeaver.errors import FetchError, ModelError, StoreError
from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.encoder.layout import CONFIG as ENCODER_CONFIG
from obeaver.models.encoder.layout import DEFAULT_WEIGHTS as ENCODER_WEIGHTS
from obeaver.models.encoder.layout import find_graph, is_encoder_folder, require_importable, source_files
from obeaver.models.facts import CONFIG, is_model_folder
from obeaver.models.names import checked_name, is_name, name_from
from obeaver.models.progress import Progress
from obeaver.models.record import Recipe
from obeaver.models.sources.local import open_local, open_local_folder
from obeaver.models.sources.source import Source
from obeaver.models.store import Claim, Store, StoredModel

DEFAULT_WEIGHTS: Final = "int8"
DEFAULT_KV: Final = "int8"
_MAGIC: Final = b"GGUF"
# Bytes of the result for each byte of the source, at most: a source has at least 4.5 bits a weight (Q4_0 and its kin).
_GROWTH: Final = {"int4": 1.5, "int8": 2.5, "fp32": 8.0}


# Encoders come as folders of safetensors: at least 16 bits a weight, and they keep no keys and values.
_ENCODER_GROWTH: Final = 2.1
_ENCODER_KV: Final = "float32"


class Importer(Protocol):
    """Makes a model folder of a GGUF file or of a folder with safetensors; `import_source` is the one."""

    def __call__(self, source: Path, target: Path, *, weights: str, kv: str, name: str, progress: Progress) -> None:
        """Write a complete model folder into the empty folder `target`."""
        ...


def import_source(source: Path, target: Path, *, weights: str, kv: str, name: str, progress: Progress) -> None:
    """The importer for this kind of source, loaded when there is something to import."""
    if source.is_dir():
        from obeaver.models.encoder.importer import import_encoder

        import_encoder(source, target, weights=weights, name=name, progress=progress)
        return
    from obeaver.models.gguf import import_gguf

    import_gguf(source, target, weights=weights, kv=kv, name=name, progress=progress)


def ensure_model(
    name_or_path: str,
    store: Store,
    *,
    progress: Progress,
    weights: str | None = None,
    kv: str | None = None,
    offline: bool = False,
    catalog: Mapping[str, CatalogEntry] | None = None,
    importer: Importer = import_source,
) -> StoredModel:
    """Find a model, or get it.

    Args:
        name_or_path: A name in the store or the catalogue, a model folder, or a GGUF file. A name wins over a file of
            the same name in the current folder; `./name` means the file.
        store: Where models are kept.
        progress: Sees the fetch and the import.
        weights: Format of the weights where an import is needed; the catalogue's or the usual one if not given.
        kv: Format of the KV cache, likewise.
        offline: Never fetch.
        catalog: Models that can be fetched; the bundled catalogue if not given.
        importer: What turns a GGUF file into a folder.

    Raises:
        ModelError: There is no such thing, or it is broken.
        FetchError: The fetch failed, or would be needed while offline.
        StoreError: No space, or the store cannot be written.
    """
    known = load_catalog() if catalog is None else catalog
    job = _Job(store, progress, importer)
    name = name_or_path.lower()
    if name in known:
        return job.from_catalog(known[name], weights, kv, offline=offline)
    if is_name(name) and (stored := store.find(name)) is not None:
        return stored
    path = Path(name_or_path)
    with suppress(RuntimeError):  # `~nobody` stays what it is
        path = path.expanduser()
    if name_or_path and path.is_dir():
        return job.from_folder(path, weights)
    if path.is_file():
        return job.from_file(path, None, weights, kv)
    raise ModelError(_unknown(name_or_path, {*known, *(model.name for model in store.list())}))


def import_file(
    file: Path,
    store: Store,
    *,
    progress: Progress,
    name: str | None = None,
    weights: str | None = None,
    kv: str | None = None,
    importer: Importer = import_source,
) -> StoredModel:
    """Import a GGUF file into the store; nothing to do when it is there in the same formats.

    Args:
        file: The GGUF file.
        store: Where the model goes.
        progress: Sees the import.
        name: Of the model, replacing one of that name that was made otherwise; made from the file's name and content
            if not given.
        weights: Format of the weights; the usual one if not given.
        kv: Format of the KV cache; the usual one if not given.
        importer: What turns the file into a folder.

    Raises:
        ModelError: The file is missing, broken, or of a kind that cannot be imported.
        StoreError: No space, not a name, or the store cannot be written.
    """
    return _Job(store, progress, importer).from_file(file, name, weights, kv)


@dataclass(frozen=True, slots=True)
class _Job:
    """What stays the same from one step to the next."""

    store: Store
    progress: Progress
    importer: Importer

    def from_catalog(self, entry: CatalogEntry, weights: str | None, kv: str | None, *, offline: bool) -> StoredModel:
        recipe = Recipe(entry.sources[0].sha256, weights or entry.weights, kv or entry.kv)
        name = _name_of_format(entry.name, recipe, usual=(entry.weights, entry.kv))
        return self._ensure(name, recipe, lambda: self._fetched(entry, recipe, offline=offline))

    def from_folder(self, path: Path, weights: str | None) -> StoredModel:
        """A model folder is used where it stands, unless it is one of an encoder with safetensors alone."""
        if is_model_folder(path) or not is_encoder_folder(path):
            return _outside(path, CONFIG)
        if find_graph(path) is not None:
            return _outside(path, ENCODER_CONFIG)
        require_importable(path)  # before gigabytes are read for their hash
        sha256 = open_local_folder(
            path, source_files(path), self.store.home / "sources" / "known", progress=self.progress
        )
        recipe = Recipe(sha256, weights or ENCODER_WEIGHTS, _ENCODER_KV)
        name = _name_of_format(name_from(path.resolve().name, sha256[:8]), recipe, usual=(ENCODER_WEIGHTS, _ENCODER_KV))
        return self._ensure(name, recipe, lambda: path)

    def from_file(self, path: Path, name: str | None, weights: str | None, kv: str | None) -> StoredModel:
        _require_gguf(path)
        file = open_local(path, self.store.home / "sources" / "known", progress=self.progress)
        recipe = Recipe(file.sha256, weights or DEFAULT_WEIGHTS, kv or DEFAULT_KV)
        if name is None:
            base = name_from(path.stem, file.sha256[:8])
            name = _name_of_format(base, recipe, usual=(DEFAULT_WEIGHTS, DEFAULT_KV))
        return self._ensure(checked_name(name), recipe, lambda: file.path)

    def _ensure(self, name: str, recipe: Recipe, obtain: Callable[[], Path]) -> StoredModel:
        return self._find(name, recipe) or self._make(name, recipe, obtain)

    def _find(self, name: str, recipe: Recipe) -> StoredModel | None:
        stored = self.store.find(name)
        return stored if stored is not None and stored.recipe == recipe else None

    def _make(self, name: str, recipe: Recipe, obtain: Callable[[], Path]) -> StoredModel:
        def on_wait() -> None:
            self.progress.note(f"waiting for another process that works on {name}")

        self.store.clean()
        with self.store.locked(name, on_wait=on_wait) as claim:
            if (stored := self._find(name, recipe)) is not None:  # made by whom we waited for
                return stored
            # Held while importing, too: nobody removes the source meanwhile.
            with self.store.sources.locked(recipe.source_sha256, on_wait=on_wait):
                self._import(claim, recipe, obtain())
            if (stored := self._find(name, recipe)) is None:
                raise StoreError(f"the model {name} was damaged as soon as it was made")
            return stored

    def _import(self, claim: Claim, recipe: Recipe, source: Path) -> None:
        needed_bytes = _needed_bytes(source, recipe.weights)
        self.store.require_space(needed_bytes, purpose=f"importing {claim.name}")
        with claim.staging(recipe) as folder:
            try:
                self.importer(
                    source, folder, weights=recipe.weights, kv=recipe.kv, name=claim.name, progress=self.progress
                )
            except OSError as error:
                raise StoreError(f"importing {claim.name} failed: {error.strerror or error}") from error

    def _fetched(self, entry: CatalogEntry, recipe: Recipe, *, offline: bool) -> Path:
        """The source file in the store; the lock of its hash is held."""
        if (path := self.store.sources.find(recipe.source_sha256)) is not None:
            return path
        if offline:
            raise FetchError(
                f"{entry.name} is not in {self.store.home} and would have to be fetched, but this is offline"
            )
        self._require_fetch_space(entry, recipe)
        for source in entry.sources[:-1]:
            try:
                return self._fetch(source)
            except FetchError as error:
                self.progress.note(f"{error}; trying the next source")
        return self._fetch(entry.sources[-1])

    def _require_fetch_space(self, entry: CatalogEntry, recipe: Recipe) -> None:
        fetch_bytes = max(source.space_bytes for source in entry.sources)
        is_file = entry.kind == "chat"
        import_bytes = _import_bytes(entry.size_bytes, recipe.weights) if is_file else _folder_bytes(entry.size_bytes)
        needed_bytes = fetch_bytes + import_bytes
        self.store.require_space(needed_bytes, purpose=f"fetching and importing {entry.name}")

    def _fetch(self, source: Source) -> Path:
        with self.store.sources.work_folder(source.sha256) as folder:
            try:
                fetched = source.fetch(folder, progress=self.progress)
            except OSError as error:
                raise FetchError(f"the download failed: {error.strerror or error}") from error
            return self.store.sources.keep(fetched, source.sha256)


def _name_of_format(base: str, recipe: Recipe, *, usual: tuple[str, str]) -> str:
    """Models of one source in other formats than the usual ones stand beside it: `name-int4`, `name-int8-kv-int8`."""
    if (recipe.weights, recipe.kv) == usual:
        return base
    return f"{base}-{recipe.weights}" if recipe.kv == usual[1] else f"{base}-{recipe.weights}-kv-{recipe.kv}"


def _import_bytes(source_bytes: int, weights: str) -> int:
    if weights not in _GROWTH:
        raise ModelError(f"weights can be {', '.join(_GROWTH)}, not {weights!r}")
    return int(source_bytes * _GROWTH[weights])


def _folder_bytes(source_bytes: int) -> int:
    return int(source_bytes * _ENCODER_GROWTH)


def _needed_bytes(source: Path, weights: str) -> int:
    if source.is_dir():
        return _folder_bytes(sum(path.stat().st_size for path in source_files(source)))
    return _import_bytes(source.stat().st_size, weights)


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if magic != _MAGIC:
        raise ModelError(f"{path} is not a GGUF file")


def _outside(folder: Path, config: str) -> StoredModel:
    """A model folder that is not the store's own, known by its configuration; it is used where it stands."""
    if not (folder / config).is_file():
        raise ModelError(f"{folder} is not a model folder: it has no {config}")
    folder = folder.resolve()
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return StoredModel(folder.name, folder, None, sum(sizes), int((folder / config).stat().st_mtime))


def _unknown(asked: str, names: Collection[str]) -> str:
    if {"/", "\\"} & set(asked) or asked.lower().endswith(".gguf"):
        return f"there is no file or folder {asked}"
    close = difflib.get_close_matches(asked.lower(), names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"there is no model named {asked!r}: {hint}known are {', '.join(sorted(names))}, or give a path"
