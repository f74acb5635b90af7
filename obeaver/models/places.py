"""What a path on this machine means: a GGUF file or a model folder, wherever other programs keep theirs.

a file                      GGUF; any part of one that was split; a manifest of Ollama's
a graph                     of a folder as transformers.js has them: the model with this one of its graphs
a folder of a model         as it is
Hugging Face's cache        `models--ORG--NAME`, the folder above it, or the one above that: the newest snapshot
Ollama's store              `~/.ollama/models`: by name, `ollama:NAME:TAG`, or the only model in it
anything else               what is in it and below, by the rules for repositories of the hub (`hub_choice.py`)
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.model_files import check_regular
from obeaver.models.encoder.layout import find_graph, is_encoder_folder, is_importable
from obeaver.models.exports import folder_of
from obeaver.models.facts import is_model_folder
from obeaver.models.sources.hub_choice import choose
from obeaver.models.split_files import parts_of
from obeaver.models.unusable_files import advice_on
from obeaver.utf8 import NotUtf8, read_utf8

OLLAMA: Final = "ollama:"
_MAGIC: Final = b"GGUF"
_MODEL_LAYER: Final = "application/vnd.ollama.image.model"
_LIBRARY: Final = ("registry.ollama.ai", "library")
_REPO: Final = "models--"
# A folder that holds more, or deeper, is none that somebody keeps models in.
_MOST_FILES: Final = 5_000
_DEEPEST: Final = 6
_LARGEST_MANIFEST: Final = 1 << 20
_SHOWN: Final = 8


def model_at(path: Path) -> Path:
    """The GGUF file (of several parts the first), the model folder, or the graph of one, that a path means.

    Raises:
        ModelError: There is none, or there are several; says what would help.
    """
    if not path.is_dir():
        return _file(path)
    if is_model_folder(path) or (is_encoder_folder(path) and not _is_better_as_gguf(path)):
        for each in path.iterdir():
            check_regular(each)
        return path
    if (blobs := _ollama_store(path)) is not None:
        return _only(_ollama_models(blobs), path, "Ollama's store", lambda name: f"{OLLAMA}{name}")
    if (cached := _cached_repositories(path)) is not None:
        return model_at(_only(cached, path, "Hugging Face's cache", lambda name: str(cached[name])))
    return _below(path)


def ollama_model(name: str, environ: Mapping[str, str]) -> Path:
    """The GGUF file that Ollama keeps under a name, such as `llama3.2` or `llama3.2:1b`.

    Args:
        name: The name.
        environ: Where OLLAMA_MODELS may say where the store is.

    Raises:
        ModelError: There is no such model, or no store.
    """
    place = Path(environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models")
    store = _ollama_store(place)
    if store is None:
        raise ModelError(f"there is no store of Ollama's in {place}: OLLAMA_MODELS says where it is")
    models = _ollama_models(store)
    asked = name if ":" in name else f"{name}:latest"
    if asked not in models:
        raise ModelError(f"Ollama's store in {place} has no model {asked}: it has {_listed(sorted(models))}")
    return models[asked]


def _file(path: Path) -> Path:
    try:
        check_regular(path)
        with path.open("rb") as file:
            beginning = file.read(512)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if beginning.startswith(_MAGIC):
        return parts_of(path)[0]
    if (blob := _blob_of(path, path.parents)) is not None:
        return blob
    if folder_of(path) is not None:
        return path
    raise ModelError(advice_on(path, beginning))


def _is_better_as_gguf(folder: Path) -> bool:
    """Whether weights as they were trained stand beside a GGUF file, which can be imported where they cannot."""
    return any(folder.glob("*.gguf")) and find_graph(folder) is None and not is_importable(folder)


def _below(folder: Path) -> Path:
    files = _listing(folder)
    choice = choose(str(folder), files, None, lambda name: _json(folder / name), address=f"{folder}{os.sep}")
    return folder / choice.base


def _listing(folder: Path) -> dict[str, int]:
    """Every file in and below a folder to its bytes."""
    files: dict[str, int] = {}
    for place, folders, names in os.walk(folder, followlinks=False):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if depth < _DEEPEST and not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.stat().st_size
        if len(files) > _MOST_FILES:
            raise ModelError(f"{folder} holds too much to look through: give the model's own folder or file")
    return files


def _cached_repositories(path: Path) -> dict[str, Path] | None:
    """Snapshots in Hugging Face's cache by repository; None where this is none."""
    if path.name.startswith(_REPO):
        return {path.name: _snapshot(path)}
    for root in (path, path / "hub"):
        if found := sorted(root.glob(f"{_REPO}*")):
            return {repo.name.removeprefix(_REPO).replace("--", "/"): _snapshot(repo) for repo in found}
    return None


def _snapshot(repo: Path) -> Path:
    """The one that the branch `main` means, else the newest."""
    main = repo / "refs" / "main"
    if main.is_file() and (place := repo / "snapshots" / main.read_text("ascii", "replace").strip()).is_dir():
        return place
    found = [folder for folder in (repo / "snapshots").glob("*") if folder.is_dir()]
    if not found:
        raise ModelError(f"{repo} has no snapshot: its download did not end")
    return max(found, key=lambda folder: folder.stat().st_mtime)


def _ollama_store(path: Path) -> Path | None:
    for place in (path, path / "models"):
        if (place / "manifests").is_dir() and (place / "blobs").is_dir():
            return place
    return None


def _ollama_models(store: Path) -> dict[str, Path]:
    """GGUF files by the names that Ollama shows."""
    return {
        _ollama_name(manifest.relative_to(store / "manifests").parts): blob
        for manifest in sorted((store / "manifests").rglob("*"))
        if manifest.is_file() and (blob := _blob_of(manifest, [store])) is not None
    }


def _ollama_name(parts: tuple[str, ...]) -> str:
    """`llama3.2:1b` of `registry.ollama.ai/library/llama3.2/1b`, with host and owner where these are others."""
    named = parts[2:] if parts[:2] == _LIBRARY else parts[1:] if parts[:1] == _LIBRARY[:1] else parts
    return f"{'/'.join(named[:-1])}:{named[-1]}"


def _blob_of(manifest: Path, stores: Iterable[Path]) -> Path | None:
    """The file that a manifest of Ollama's names, in one of some folders; None where this is no manifest."""
    try:
        data: Any = json.loads(read_utf8(manifest)) if manifest.stat().st_size < _LARGEST_MANIFEST else {}
        digests = [layer["digest"] for layer in data["layers"] if layer["mediaType"] == _MODEL_LAYER]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, NotUtf8):
        return None
    names = [str(digest).replace(":", "-") for digest in digests]
    places = [store / "blobs" / name for store in stores for name in names]
    found = [place for place in places if place.is_file()]
    return found[0] if found else None


def _only(models: Mapping[str, Path], path: Path, what: str, address: Callable[[str], str]) -> Path:
    if not models:
        raise ModelError(f"{path} is {what}, and has no model in it")
    if len(models) > 1:
        raise ModelError(f"{path} is {what}, with {_listed(sorted(models))}: choose one, {address(min(models))}")
    return next(iter(models.values()))


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return (", ".join(names[:_SHOWN]) or "none") + (f" and {more} more" if more > 0 else "")


def _json(path: Path) -> Any:
    try:
        return json.loads(read_utf8(path))
    except (OSError, ValueError, RecursionError, NotUtf8):
        return None
