"""The chat models that a server can be asked to load: those in the store, and those that it was started with."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from obeaver.errors import ModelError
from obeaver.models.facts import is_model_folder
from obeaver.models.names import is_name
from obeaver.models.record import Damaged
from obeaver.models.store import Store, StoredModel
from obeaver.models.summary import ModelSummary, summarise

logger = logging.getLogger(__name__)


class LibraryModel(NamedTuple):
    """A model and what its folder says."""

    stored: StoredModel
    summary: ModelSummary


class ChatLibrary:
    """Finds models by name, and by nothing else: what a request says is never used as a path.

    Reads files: call it from a thread.

    Args:
        store: The store.
        known: Models that are found by their names wherever their folders are.
    """

    def __init__(self, store: Store, known: Iterable[StoredModel] = ()) -> None:
        self._store = store
        self._known = {model.name: model for model in known}

    def list(self) -> list[LibraryModel]:
        """Every model that could be loaded, by name."""
        by_name = {model.name: model for model in self._store.list()} | self._known
        found = (self._described(by_name[name]) for name in sorted(by_name))
        return [model for model in found if model is not None]

    def names(self) -> frozenset[str]:
        """Names of all models in the store, of whatever kind."""
        return frozenset(self._store.names())

    def find(self, name: str) -> StoredModel | None:
        """The model of this name; None where there is no such chat model.

        Raises:
            ModelError: There is one, and it is damaged.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        name = name.lower()
        if not is_name(name) or name not in self._store.names():
            return None
        try:
            stored = self._store.check(name)
        except Damaged as reason:
            raise ModelError(f"it is damaged ({reason}): remove it and get it again") from reason
        return stored if is_model_folder(stored.folder) else None

    def _described(self, stored: StoredModel) -> LibraryModel | None:
        if not is_model_folder(stored.folder):
            return None
        try:
            summary = summarise(stored.folder)
        except ModelError as reason:
            logger.warning("%s is not offered: %s", stored.name, reason)
            return None
        chats = summary.chat_template is not None or stored.name in self._known
        return LibraryModel(stored, summary) if chats else None
