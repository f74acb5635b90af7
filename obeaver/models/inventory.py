"""Which models there are: those in the store, with what is wrong with them, and those that can be had by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from obeaver.errors import ModelError
from obeaver.models.catalog import CatalogEntry
from obeaver.models.origin import Origin
from obeaver.models.record import Damaged, Recipe
from obeaver.models.store import Store, StoredModel
from obeaver.models.summary import ModelSummary, summarise


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the store.

    Attributes:
        name: In the store.
        folder: Its folder.
        recipe: What it was made from, where that is known.
        origin: Where that came from, where that is known.
        summary: What its folder says; None where it is damaged or cannot be read.
        problem: What is wrong with it; None for a sound one.
        entry: The catalogue's entry that it comes from, if it does.
        users: Ids of the processes that use it.
    """

    name: str
    folder: Path
    recipe: Recipe | None
    origin: Origin | None
    summary: ModelSummary | None
    problem: str | None
    entry: CatalogEntry | None
    users: tuple[int, ...]

    @property
    def licence(self) -> str | None:
        """As the catalogue says, else as its source did, else as the folder does."""
        if self.entry is not None:
            return self.entry.licence
        if self.origin is not None and self.origin.licence is not None:
            return self.origin.licence
        return None if self.summary is None else self.summary.licence


def installed_models(store: Store, catalog: Mapping[str, CatalogEntry], *, deep: bool = False) -> list[Installed]:
    """Every model in the store, by name.

    Args:
        store: The store.
        catalog: Where descriptions and licences come from.
        deep: Read all content of all files, to find damage that sizes do not show.
    """
    return [look_up(store, name, catalog, deep=deep) for name in store.names()]


def look_up(store: Store, name: str, catalog: Mapping[str, CatalogEntry], *, deep: bool = False) -> Installed:
    """One model of the store.

    Args:
        store: The store.
        name: One of its names.
        catalog: As for `installed_models`.
        deep: As for `installed_models`.
    """
    stored, summary, problem = None, None, None
    folder = store.home / "models" / name
    try:
        stored = store.check(name, deep=deep)
        summary = summarise(folder)
    except (Damaged, ModelError) as error:
        problem = str(error)
    recipe, origin = (stored.recipe, stored.origin) if stored else (None, None)
    entry = _entry_of(name, stored, catalog)
    return Installed(name, folder, recipe, origin, summary, problem, entry, store.users(name))


def available_models(store: Store, catalog: Mapping[str, CatalogEntry]) -> list[CatalogEntry]:
    """Entries of the catalogue that the store does not hold under their own name, in the catalogue's order."""
    names = set(store.names())
    return [entry for entry in catalog.values() if entry.name not in names]


def _entry_of(name: str, stored: StoredModel | None, catalog: Mapping[str, CatalogEntry]) -> CatalogEntry | None:
    """The entry whose source it was made from; by its name alone where nothing tells of a source."""
    if stored is None or (stored.recipe is None and stored.origin is None):
        return catalog.get(name)
    return next((entry for entry in catalog.values() if _is_from(entry, stored)), None)


def _is_from(entry: CatalogEntry, stored: StoredModel) -> bool:
    sha256 = None if stored.recipe is None else stored.recipe.source_sha256
    return any(
        source.sha256 == sha256 if source.sha256 else stored.origin is not None and source.gave(stored.origin)
        for source in entry.sources
    )
