"""The model that a command is asked for: of the kind it needs, found in the store or fetched into it."""

from pathlib import Path
from typing import TYPE_CHECKING

from obeaver.config import DEFAULT_MODEL, Settings
from obeaver.errors import ModelError

if TYPE_CHECKING:
    from obeaver.models.store import Store, StoredModel

_CHAT = "chat"
_NAMES = {_CHAT: "a chat model", "embedding": "an embedding model", "reranker": "a reranker"}


def chat_model(asked: str, settings: Settings, store: "Store") -> "StoredModel":
    """A model for `serve` and `run`; fetched where it is not in the store.

    Args:
        asked: A name, an address, a folder or a GGUF file.
        settings: Whether something may be fetched.
        store: Where models are.

    Raises:
        CommandError: There is no such model, it is of another kind, or it cannot be had.
    """
    from obeaver.models.encoder.layout import is_encoder_folder
    from obeaver.models.facts import is_model_folder

    _require_kind(asked, store, chat=True)
    stored = _ensured(asked, settings, store, None)
    if not is_model_folder(stored.folder) and is_encoder_folder(stored.folder):
        raise ModelError(_other_kind(asked, "embedding"))
    return stored


def encoder_model(asked: str, settings: Settings, store: "Store", weights: str | None) -> "StoredModel":
    """A model for `serve-embed` and `embed`; fetched where it is not in the store.

    Args:
        asked: A name, an address or a folder.
        settings: Whether something may be fetched.
        store: Where models are.
        weights: Format of the weights where the model is imported.

    Raises:
        CommandError: As for `chat_model`.
    """
    from obeaver.models.encoder.layout import is_encoder_folder
    from obeaver.models.facts import is_model_folder
    from obeaver.models.importers import EXACT

    _require_kind(asked, store, chat=False)
    stored = _ensured(asked, settings, store, weights, EXACT)
    if is_model_folder(stored.folder) and not is_encoder_folder(stored.folder):
        raise ModelError(_other_kind(asked, _CHAT))
    return stored


def better_than_default(command: str) -> str:
    """One line on the default model, with the command for one that fits this machine and answers better."""
    from obeaver.app.memory import available_bytes
    from obeaver.cli.models.listing import entry_size_text
    from obeaver.models.catalog import load_catalog
    from obeaver.models.recommended import recommended

    better = recommended(load_catalog(), available_bytes())
    hint = (
        "obeaver models lists larger ones"
        if better is None
        else f"one that fits this machine and answers better: obeaver {command} {better.name} "
        f"({entry_size_text(better)} to fetch)"
    )
    return f"{DEFAULT_MODEL} is a small model for trying things out; {hint}"


def _require_kind(asked: str, store: "Store", *, chat: bool) -> None:
    """Refuse a name of the catalogue or a GGUF file before gigabytes are fetched or imported for nothing."""
    from obeaver.models.catalog import load_catalog

    entry = load_catalog().get(asked.lower())
    kind = entry.kind if entry is not None else _kind_of_file(asked, store)
    if kind is not None and (kind == _CHAT) != chat:
        raise ModelError(_other_kind(asked, kind))


def _kind_of_file(asked: str, store: "Store") -> str | None:
    """What a GGUF file is for; None for anything else, and for a file that cannot be imported."""
    from obeaver.models.embedder.kind import kind_of_gguf

    if asked.lower() in store.names():
        return None
    try:
        path = Path(asked).expanduser()
        return kind_of_gguf(path) if path.suffix.lower() == ".gguf" and path.is_file() else None
    except (RuntimeError, OSError):  # RuntimeError: `~nobody`; OSError: a name too long for a file
        return None


def _other_kind(asked: str, kind: str) -> str:
    return f"{asked} is {_NAMES[kind]}: obeaver {'serve' if kind == _CHAT else 'serve-embed'} {asked}"


def _ensured(
    asked: str, settings: Settings, store: "Store", weights: str | None, usual: tuple[str, str] | None = None
) -> "StoredModel":
    from obeaver.models.progress import TerminalProgress
    from obeaver.models.pull import ensure_model

    return ensure_model(
        asked, store, progress=TerminalProgress(), weights=weights, usual=usual, offline=settings.offline
    )
