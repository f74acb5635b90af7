"""From what a person says to a model folder that is ready: a name, an address, a path.

A name of the catalogue and an address may make obeaver reach out, when the store has no such model; a path never does.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from obeaver.errors import FetchError, ModelError
from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.encoder.layout import CONFIG as ENCODER_CONFIG
from obeaver.models.encoder.layout import (
    find_graph,
    is_encoder_folder,
    require_importable,
    source_files,
)
from obeaver.models.exports import export_in, folder_of
from obeaver.models.facts import CONFIG, is_model_folder
from obeaver.models.format_choice import INT4, INT8, memory_bytes, reason_for_int4
from obeaver.models.importers import EXACT, USUAL, Importer, import_source
from obeaver.models.kept_source import form_of, source_of
from obeaver.models.names import checked_name, is_name, unknown_model
from obeaver.models.obtain import Obtainer, is_as_wanted, is_current
from obeaver.models.origin import ENCODER, GGUF
from obeaver.models.places import OLLAMA, model_at, ollama_model
from obeaver.models.progress import Progress
from obeaver.models.sources.address import HubAddress, is_address, parse_address
from obeaver.models.sources.exported import ExportedSource
from obeaver.models.sources.hub import HubSource
from obeaver.models.sources.local import LocalSource, open_gguf, open_local_folder
from obeaver.models.sources.source import Source
from obeaver.models.sources.web_file import WebFile
from obeaver.models.store import Store, StoredModel
from obeaver.models.wanted import Choices, Formats, Wanted, name_of_format


def ensure_model(
    asked: str,
    store: Store,
    *,
    progress: Progress,
    name: str | None = None,
    weights: str | None = None,
    kv: str | None = None,
    usual: Formats | None = None,
    context: int | None = None,
    measure: bool = False,
    offline: bool = False,
    memory: int | None = None,
    catalog: Mapping[str, CatalogEntry] | None = None,
    importer: Importer = import_source,
) -> StoredModel:
    """Find a model, or get it.

    Args:
        asked: A name in the store or the catalogue; an address (`hf:ORG/REPO`, `https://…`); a model folder or a GGUF
            file. A name wins over a file of the same name in the current folder; `./name` means the file.
        store: Where models are kept.
        progress: Sees the fetch and the import.
        name: What the model is to be called, where an address is asked for; made from what is fetched if not given.
        weights: Format of the weights where an import is needed; the catalogue's or the usual one if not given.
        kv: Format of the KV cache, likewise.
        usual: Formats of an import from an address where neither is given; those of its form if not given.
        context: Tokens that the model is to be able to use, where an import is needed.
        measure: Whether an import is to find out how near the result is to its source.
        offline: Never fetch.
        memory: Bytes that this machine has, for the choice of a format; asked of the system if not given.
        catalog: Models that can be fetched by name; the bundled catalogue if not given.
        importer: What turns a source into a folder.

    Raises:
        ModelError: There is no such thing, or it is broken.
        FetchError: The fetch failed, or would be needed while offline.
        StoreError: No space, or the store cannot be written.
    """
    memory = memory_bytes() if memory is None else memory
    known = load_catalog(memory=memory) if catalog is None else catalog
    choices = Choices(weights, kv, context, measure)
    obtainer = Obtainer(store, progress, importer, offline, reserved=known.keys(), memory=memory)
    if is_address(asked):
        return obtainer.get(Wanted(asked, (_remote(asked, memory),), _free_name(name, known), choices, usual))
    if name is not None:
        raise ModelError(f"{asked} has a name already: only what comes from an address can be given one")
    named = _named(asked.lower(), known, choices, obtainer)
    return _at(asked, known, choices, obtainer) if named is None else named


def import_file(
    file: Path,
    store: Store,
    *,
    progress: Progress,
    name: str | None = None,
    weights: str | None = None,
    kv: str | None = None,
    context: int | None = None,
    measure: bool = False,
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
        context: Tokens that the model is to be able to use.
        measure: Whether to find out how near the result is to the file.
        importer: What turns the file into a folder.

    Raises:
        ModelError: The file is missing, broken, or of a kind that cannot be imported.
        StoreError: No space, not a name, or the store cannot be written.
    """
    obtainer = Obtainer(store, progress, importer)
    model = model_at(file)
    if model.is_dir() or folder_of(model) is not None:
        raise ModelError(f"{file} is no GGUF file: a model folder needs no import; obeaver serve {file} takes it")
    return obtainer.get(_of_file(model, name, Choices(weights, kv, context, measure), obtainer))


def _named(name: str, known: Mapping[str, CatalogEntry], choices: Choices, obtainer: Obtainer) -> StoredModel | None:
    """The model of this name, whole and in these formats; None where there is none in catalogue and store."""
    if name in known:
        return obtainer.get(_of_catalog(known[name], choices, obtainer))
    if not is_name(name):
        return None
    if (stored := obtainer.store.find(name)) is not None:
        return _renewed(stored, choices, obtainer)
    if (damaged := obtainer.store.recorded(name)) is not None:
        return _repaired(damaged, obtainer)
    return None


def _at(place: str, known: Collection[str], choices: Choices, obtainer: Obtainer) -> StoredModel:
    """What stands at a path, or in Ollama's store.

    Raises:
        ModelError: Nothing does; the message names models that are called alike.
    """
    if place.lower().startswith(OLLAMA):
        return obtainer.get(_of_file(ollama_model(place[len(OLLAMA) :], os.environ), None, choices, obtainer))
    path = Path(place)
    with suppress(RuntimeError):  # `~nobody` stays what it is
        path = path.expanduser()
    if not place or not _exists(path):
        raise ModelError(unknown_model(place, {*known, *obtainer.store.names()}))
    model = model_at(path)
    if model.is_dir():
        return _from_folder(model, choices, obtainer)
    if (folder := folder_of(model)) is not None:
        return _from_export(folder, model, choices, obtainer)
    return obtainer.get(_of_file(model, None, choices, obtainer))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text that is too long for a name
        return False


def _remote(asked: str, memory: int) -> Source:
    address = parse_address(asked)
    return HubSource(address, memory=memory) if isinstance(address, HubAddress) else WebFile(address)


def _free_name(name: str | None, known: Collection[str]) -> str | None:
    if name is None:
        return None
    if checked_name(name) in known:
        raise ModelError(f"{name} is a model of the catalogue: choose another name")
    return checked_name(name)


def _of_catalog(entry: CatalogEntry, choices: Choices, obtainer: Obtainer) -> Wanted:
    if entry.weights is None or entry.kv is None:
        return Wanted(entry.name, entry.sources, entry.name, choices)
    usual = _formats_there(entry, obtainer.store) or (entry.weights, entry.kv)
    name = name_of_format(entry.name, (choices.weights or usual[0], choices.kv or usual[1]), usual)
    why = None
    if usual[0] == entry.weights == INT4 and choices.weights is None:
        why = reason_for_int4(entry.parameters, obtainer.memory)
    return Wanted(entry.name, entry.sources, name, choices, usual, why)


def _formats_there(entry: CatalogEntry, store: Store) -> Formats | None:
    """Those of the model that the store has under the entry's name, where the memory has chosen between them."""
    stored = store.find(entry.name) if entry.kind == "chat" else None
    recipe = None if stored is None else stored.recipe
    return None if recipe is None or recipe.weights not in (INT8, INT4) else (recipe.weights, recipe.kv)


def _of_file(file: Path, name: str | None, choices: Choices, obtainer: Obtainer) -> Wanted:
    from obeaver.models.embedder.kind import is_embedder_file  # here: both load what reads GGUF files
    from obeaver.models.gguf.reader import GgufFile, num_weights

    source = open_gguf(file, obtainer.store.home / "sources" / "known", progress=obtainer.progress)
    if file.suffix.lower() != ".gguf":  # its name tells nothing, as those of Ollama's blobs
        source = replace(source, label=str(GgufFile(file).metadata.get("general.name") or "model"))
    usual = EXACT if is_embedder_file(file) else None
    wanted = obtainer.for_memory(Wanted(str(file), (source,), None, choices, usual), num_weights(file))
    if name is None:
        return replace(wanted, name=name_of_format(source.name, wanted.formats(GGUF), usual or USUAL[GGUF]))
    return replace(wanted, name=checked_name(name))


def _from_folder(path: Path, choices: Choices, obtainer: Obtainer) -> StoredModel:
    """A model folder is used where it stands, unless it is one of an encoder with safetensors alone."""
    if is_model_folder(path) or not is_encoder_folder(path):
        return _outside(path, CONFIG)
    if (graph := export_in(path)) is not None:
        return _from_export(path, graph, choices, obtainer)
    if find_graph(path) is not None:
        return _outside(path, ENCODER_CONFIG)
    require_importable(path)  # before gigabytes are read for their hash
    files = source_files(path)
    sha256 = open_local_folder(path, files, obtainer.store.home / "sources" / "known", progress=obtainer.progress)
    source = LocalSource(path.resolve(), ENCODER, sha256, sum(file.stat().st_size for file in files))
    wanted = Wanted(str(path), (source,), None, Choices(choices.weights))
    name = name_of_format(source.name, wanted.formats(ENCODER), USUAL[ENCODER])
    return obtainer.get(Wanted(str(path), (source,), name, Choices(choices.weights)))


def _from_export(folder: Path, graph: Path, choices: Choices, obtainer: Obtainer) -> StoredModel:
    """A folder as transformers.js has them gets the file that it lacks in the store, where its files are linked to."""
    source = ExportedSource.of(folder, graph, obtainer.store.home)
    return obtainer.get(Wanted(str(graph), (source,), None, choices))


def _renewed(stored: StoredModel, choices: Choices, obtainer: Obtainer) -> StoredModel:
    wanted = _again(stored, obtainer.store, choices)
    if is_current(stored):
        return stored if is_as_wanted(stored, wanted) else obtainer.get(wanted)
    return obtainer.renewed(stored, wanted)


def _repaired(damaged: StoredModel, obtainer: Obtainer) -> StoredModel:
    obtainer.progress.note(f"{damaged.name} is damaged and is made anew")
    try:
        return obtainer.get(_again(damaged, obtainer.store, Choices()))
    except FetchError as error:
        raise ModelError(f"{damaged.name} is damaged and cannot be made anew: {error}") from error


def _again(stored: StoredModel, store: Store, choices: Choices) -> Wanted:
    """The same model in the same formats, from where it came."""
    source, recipe = source_of(stored, store), stored.recipe
    if recipe is None:
        return Wanted(stored.name, (source,), stored.name)
    context = recipe.context if choices.context is None else choices.context
    same = Choices(recipe.weights, recipe.kv, context, choices.measure)
    return Wanted(stored.name, (source,), stored.name, same, USUAL[form_of(stored)])


def _outside(folder: Path, config: str) -> StoredModel:
    """A model folder that is not the store's own, known by its configuration; it is used where it stands."""
    if not (folder / config).is_file():
        raise ModelError(f"{folder} is not a model folder: it has no {config}")
    folder = folder.resolve()
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return StoredModel(folder.name, folder, None, sum(sizes), int((folder / config).stat().st_mtime))
