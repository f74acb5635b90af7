"""The source that a stored model came from, found again from the model's own record."""

from dataclasses import dataclass
from pathlib import Path

from obeaver.errors import FetchError, ModelError
from obeaver.models.exports import folder_of
from obeaver.models.facts import is_model_folder
from obeaver.models.format_choice import num_weights_of
from obeaver.models.origin import ENCODER, FOLDER, GGUF, HUB, LOCAL, URL, Form, Origin
from obeaver.models.progress import Progress
from obeaver.models.sources.address import HubAddress, UrlAddress, parse_address
from obeaver.models.sources.exported import ExportedSource
from obeaver.models.sources.hub import HubSource
from obeaver.models.sources.hub_choice import quantisation
from obeaver.models.sources.local import LocalSource
from obeaver.models.sources.source import Offer, Source
from obeaver.models.sources.web_file import WebFile
from obeaver.models.split_files import gguf_sha256, parts_of
from obeaver.models.store import Store, StoredModel


def form_of(stored: StoredModel) -> Form:
    """What the model was before it stood in the store."""
    if stored.recipe is None:
        return FOLDER
    if stored.made_by is not None:
        return GGUF if stored.made_by.startswith(f"{GGUF}/") else ENCODER
    return GGUF if is_model_folder(stored.folder) else ENCODER


def source_of(stored: StoredModel, store: Store) -> Source:
    """Where the model can be made from again."""
    return KeptSource(store, stored, stored.name, _elsewhere(stored, store))


@dataclass(frozen=True, slots=True)
class KeptSource:
    """What the store keeps because a model was made from it; else where that came from.

    Attributes:
        store: The store.
        model: Made from it.
        name: What the offer is called.
        elsewhere: Where it came from, where that can be asked again.
    """

    store: Store
    model: StoredModel
    name: str
    elsewhere: Source | None

    @property
    def sha256(self) -> str | None:
        """See `Source.sha256`."""
        return None if self.model.recipe is None else self.model.recipe.source_sha256

    @property
    def asks(self) -> bool:
        """See `Source.asks`."""
        return not self._is_kept() and self.elsewhere is not None and self.elsewhere.asks

    def gave(self, origin: Origin) -> bool:
        """See `Source.gave`."""
        return origin == self.model.origin

    def name_of(self, origin: Origin) -> str:  # noqa: ARG002
        """See `Source.name_of`."""
        return self.name

    def offer(self, progress: Progress) -> Offer:
        """See `Source.offer`."""
        if self.sha256 is None or not self._is_kept():
            return self._from_elsewhere(progress)
        return Offer(
            form=form_of(self.model),
            key=self.sha256,
            sha256=self.sha256,
            name=self.name,
            origin=self.model.origin,
            size_bytes=self.store.sources.size_bytes(self.sha256),
            space_bytes=0,
            is_remote=True,
            is_resumable=False,
            fetch=self._fetch_again,
            num_weights=self._num_weights() if form_of(self.model) == GGUF else None,
        )

    def _num_weights(self) -> int:
        kind = None if self.model.origin is None else quantisation(self.model.origin.address)
        return num_weights_of(self.store.sources.size_bytes(self.sha256 or ""), kind)

    def _is_kept(self) -> bool:
        return self.sha256 is not None and self.store.sources.has(self.sha256)

    def _fetch_again(self, folder: Path, progress: Progress) -> Path:
        """What the store keeps turned out to be damaged."""
        return self._from_elsewhere(progress).fetch(folder, progress)

    def _from_elsewhere(self, progress: Progress) -> Offer:
        if self.elsewhere is None:
            raise FetchError(f"what {self.model.name} was made from is not there any more")
        return self.elsewhere.offer(progress)


def _elsewhere(stored: StoredModel, store: Store) -> Source | None:
    """From the record's words."""
    origin, form = stored.origin, form_of(stored)
    sha256 = stored.recipe.source_sha256 if stored.recipe is not None else None
    if origin is None:
        return None
    if origin.kind == HUB:
        address = parse_address(origin.address)
        return HubSource(address, sha256 if form == GGUF else None) if isinstance(address, HubAddress) else None
    if origin.kind == URL:
        return WebFile(UrlAddress(origin.address, sha256))
    if origin.kind == LOCAL and form == GGUF and sha256 is not None:
        return _local_file(Path(origin.address), sha256)
    if origin.kind == LOCAL and form == FOLDER and (folder := folder_of(graph := Path(origin.address))) is not None:
        return ExportedSource.of(folder, graph, store.home)
    return None


def _local_file(path: Path, sha256: str) -> Source | None:
    try:
        is_same = path.is_file() and gguf_sha256(path) == sha256
    except (OSError, ModelError):
        return None
    return LocalSource(path, GGUF, sha256, sum(part.stat().st_size for part in parts_of(path))) if is_same else None
