"""From what is wanted to a model in the store: found there, or fetched, and imported where that is needed.

The network is asked only when the store has neither the model nor its source. All work is done under the model's lock,
in folders that appear in the store when they are complete.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from obeaver.errors import CommandError, FetchError, ModelError, StoreError
from obeaver.models.encoder.layout import is_encoder_folder, read_encoder_facts
from obeaver.models.exports import export_in, genai_config, write_config
from obeaver.models.facts import is_model_folder, read_facts
from obeaver.models.format_choice import INT4, INT4_BYTES, is_short, memory_bytes, reason_for_int4
from obeaver.models.importers import EXACT, USUAL, Importer, import_bytes, is_embedder, maker
from obeaver.models.kept_source import KeptSource, form_of
from obeaver.models.names import checked_name, name_from
from obeaver.models.origin import GGUF
from obeaver.models.progress import Progress
from obeaver.models.record import Recipe, folder_sha256, sha256_of
from obeaver.models.sources.source import Offer, Source
from obeaver.models.store import Claim, Store, StoredModel
from obeaver.models.wanted import Formats, Wanted, name_of_format


def is_current(stored: StoredModel) -> bool:
    """Whether today's importer would make the same of its source."""
    # Records had no such entry before versions were counted: what they describe is the first.
    return stored.recipe is None or (stored.made_by or f"{form_of(stored)}/1") == maker(form_of(stored))


@dataclass(frozen=True, slots=True)
class Obtainer:
    """Gets models into one store.

    Attributes:
        store: The store.
        progress: Sees the fetch and the import.
        importer: What turns a source into a folder.
        offline: Never reach out.
        reserved: Names that no model gets unless they are asked for.
        memory: Bytes that the machine has.
    """

    store: Store
    progress: Progress
    importer: Importer
    offline: bool = False
    reserved: Collection[str] = ()
    memory: int = field(default_factory=memory_bytes)

    def get(self, wanted: Wanted) -> StoredModel:
        """Find it, or make it.

        Raises:
            ModelError: A source has nothing that could be served.
            FetchError: No source could be reached, or all refused.
            StoreError: No space, or the store cannot be written.
        """
        stored = self._there(wanted)
        return self._make(wanted) if stored is None else self.renewed(stored, wanted)

    def renewed(self, stored: StoredModel, wanted: Wanted) -> StoredModel:
        """The model, made anew if an older importer made it; as it is where that cannot be done."""
        if is_current(stored):
            return stored
        self.progress.note(f"{stored.name} was imported by an older version and is imported anew")
        try:
            return self._make(replace(wanted, name=stored.name))
        except CommandError as error:
            self.progress.note(f"{stored.name} stays as it is: {error}")
            return stored

    def _there(self, wanted: Wanted) -> StoredModel | None:
        models = self.store.list() if wanted.name is None else [self.store.find(wanted.name)]
        return next(
            (model for model in models if model is not None and _answers(model, self._as_made(model, wanted))), None
        )

    def _as_made(self, stored: StoredModel, wanted: Wanted) -> Wanted:
        """What was wanted, in the words of a model whose format the memory chose, or its kind."""
        recipe = stored.recipe
        if wanted.choices.weights or wanted.usual or recipe is None:
            return wanted
        if not is_model_folder(stored.folder):
            return replace(wanted, usual=EXACT)
        if recipe.weights != INT4:
            return wanted
        if not is_short(int(stored.size_bytes / INT4_BYTES), self.memory):
            return wanted
        return replace(wanted, choices=replace(wanted.choices, weights=INT4))

    def _make(self, wanted: Wanted) -> StoredModel:
        for source in wanted.sources[:-1]:
            try:
                return self._from(source, wanted)
            except FetchError as error:
                self.progress.note(f"{error}; trying the next source")
        return self._from(wanted.sources[-1], wanted)

    def _from(self, source: Source, wanted: Wanted) -> StoredModel:
        self.store.clean()
        offer = self._offer(source, wanted)
        wanted = self.for_memory(wanted, offer.num_weights)
        formats = wanted.formats(offer.form)
        names = self._names(offer, wanted, formats)
        for name in names:
            if (stored := self._at(name, offer, wanted, formats)) is not None:
                return stored
        raise StoreError(f"other models are called {' and '.join(names)}: choose a name with --name")

    def for_memory(self, wanted: Wanted, num_weights: int | None) -> Wanted:
        """The same with weights in int4, where nobody chose a format and the memory asks for it."""
        if wanted.choices.weights or wanted.usual or num_weights is None or not is_short(num_weights, self.memory):
            return wanted
        why = reason_for_int4(num_weights, self.memory)
        return replace(wanted, choices=replace(wanted.choices, weights=INT4), why=why)

    def _offer(self, source: Source, wanted: Wanted) -> Offer:
        if not source.asks:
            return source.offer(self.progress)
        if (kept := self._kept(source)) is not None:
            return kept
        if self.offline:
            raise self._is_offline(wanted.label)
        return source.offer(self.progress)

    def _kept(self, source: Source) -> Offer | None:
        """What the store keeps of this source, because another model was made from it."""
        for model in self.store.list():
            if model.recipe is None or model.origin is None or not _is_from(source, model):
                continue
            sha256 = model.recipe.source_sha256
            if self.store.sources.has(sha256):
                return KeptSource(self.store, model, source.name_of(model.origin), source).offer(self.progress)
        return None

    def _names(self, offer: Offer, wanted: Wanted, formats: Formats | None) -> list[str]:
        if wanted.name is not None:
            return [checked_name(wanted.name)]
        usual = wanted.usual or USUAL.get(offer.form, ("", ""))
        bases = [offer.name] if offer.name not in self.reserved else []
        bases.append(name_from(offer.name, (offer.sha256 or offer.key)[:8]))
        return [name_of_format(base, formats, usual) for base in bases]

    def _at(self, name: str, offer: Offer, wanted: Wanted, formats: Formats | None) -> StoredModel | None:
        """The model under this name; None where another has it."""

        def on_wait() -> None:
            self.progress.note(f"waiting for another process that works on {name}")

        with self.store.locked(name, on_wait=on_wait) as claim:
            stored = self.store.find(name)
            as_made = formats if stored is None else self._as_made(stored, wanted).formats(offer.form)
            if stored is not None and _is(stored, offer, as_made):
                if is_current(stored) and is_as_wanted(stored, wanted):  # made by whom we waited for
                    return stored
            elif stored is not None and wanted.name is None:
                return None
            # Held while importing, too: nobody removes the source meanwhile.
            with self.store.sources.downloading(offer.key, on_wait=on_wait):
                if formats is None:
                    self._adopt(claim, offer)
                else:
                    self._import(claim, offer, formats, wanted, on_wait)
            if (stored := self.store.find(name)) is None:
                raise StoreError(f"the model {name} was damaged as soon as it was made")
            return stored

    def _adopt(self, claim: Claim, offer: Offer) -> None:
        """Put a folder into the store as it is."""
        self._require_space(offer, 0, claim.name)
        with self.store.sources.work_folder(offer.key, is_resumable=offer.is_resumable) as work:
            fetched = self._fetch(offer, work, claim.name)
            graph = export_in(fetched)
            config = None if graph is None else genai_config(fetched, graph)
            if config is None:
                _require_model(fetched, offer)
            with claim.staging(None, origin=offer.origin) as folder:
                _link_all(fetched, folder)
                if config is not None:
                    write_config(folder, config)

    def _import(
        self, claim: Claim, offer: Offer, formats: Formats, wanted: Wanted, on_wait: Callable[[], None]
    ) -> None:
        if wanted.why is not None:
            self.progress.note(wanted.why)
        needed_bytes = import_bytes(offer.form, offer.size_bytes, formats[0])
        self._require_space(offer, needed_bytes, claim.name)
        sha256 = None
        try:
            with self._source(offer, claim.name, on_wait) as (source, sha256):
                recipe = Recipe(sha256, *_formats_of(source, offer, wanted, formats), wanted.choices.context)
                hashes: dict[str, str] = {}
                made = claim.staging(recipe, origin=offer.origin, made_by=maker(offer.form), hashes=hashes)
                with made as folder:
                    hashes |= self._run_importer(source, folder, recipe, claim.name, measure=wanted.choices.measure)
        except ModelError:  # it will never be a model, so it is not kept for one
            if sha256 is not None and offer.is_remote:
                self.store.release_source(sha256)
            raise

    def _run_importer(
        self, source: Path, folder: Path, recipe: Recipe, name: str, *, measure: bool
    ) -> Mapping[str, str]:
        try:
            return self.importer(source, folder, recipe=recipe, name=name, measure=measure, progress=self.progress)
        except OSError as error:
            raise StoreError(f"importing {name} failed: {error.strerror or error}") from error

    @contextmanager
    def _source(self, offer: Offer, name: str, on_wait: Callable[[], None]) -> Iterator[tuple[Path, str]]:
        """The source at hand and its hash, with its lock held."""
        sources = self.store.sources
        with ExitStack() as lock:
            if offer.sha256 is not None:
                lock.enter_context(sources.locked(offer.sha256, on_wait=on_wait))
                if not offer.is_remote:
                    yield offer.fetch(self.store.home, self.progress), offer.sha256
                    return
                if (path := sources.find(offer.sha256)) is not None:
                    sources.forget_download(offer.key)
                    yield path, offer.sha256
                    return
            with sources.work_folder(offer.key, is_resumable=offer.is_resumable) as work:
                fetched = self._fetch(offer, work, name)
                sha256 = offer.sha256 or _content_sha256(fetched)
                if offer.sha256 is None:
                    lock.enter_context(sources.locked(sha256, on_wait=on_wait))
                path = sources.keep(fetched, sha256)
            yield path, sha256

    def _fetch(self, offer: Offer, work: Path, name: str) -> Path:
        if self.offline and offer.is_remote:
            raise self._is_offline(name)
        try:
            return offer.fetch(work, self.progress)
        except OSError as error:
            raise FetchError(f"the download failed: {error.strerror or error}") from error

    def _is_offline(self, label: str) -> FetchError:
        return FetchError(f"{label} is not in {self.store.home} and would have to be fetched, but this is offline")

    def _require_space(self, offer: Offer, import_bytes: int, name: str) -> None:
        is_there = offer.sha256 is not None and self.store.sources.has(offer.sha256)
        fetch_bytes = 0 if is_there else offer.space_bytes - self.store.sources.fetched_bytes(offer.key)
        work = [*(["fetching"] if fetch_bytes > 0 else []), *(["importing"] if import_bytes else [])]
        purpose = f"{' and '.join(work)} {name}"
        self.store.require_space(max(0, fetch_bytes) + import_bytes, purpose=purpose)


def _answers(stored: StoredModel, wanted: Wanted) -> bool:
    """Whether the model is what is wanted, whichever importer made it."""
    if not any(_is_from(source, stored) for source in wanted.sources):
        return False
    recipe = stored.recipe
    formats = None if recipe is None else (recipe.weights, recipe.kv)
    return formats == wanted.formats(form_of(stored)) and is_as_wanted(stored, wanted)


def is_as_wanted(stored: StoredModel, wanted: Wanted) -> bool:
    """Whether a model in the right formats has the context that is asked for, and was measured if that is asked for."""
    if stored.recipe is None or form_of(stored) != GGUF or not is_model_folder(stored.folder):
        return True
    if wanted.choices.context not in (None, stored.recipe.context):
        return False
    is_exact = (stored.recipe.weights, stored.recipe.kv) == EXACT
    return not wanted.choices.measure or is_exact or read_facts(stored.folder).fidelity is not None


def _formats_of(source: Path, offer: Offer, wanted: Wanted, formats: Formats) -> Formats:
    """Those of an import; only the file itself tells that its model makes vectors, which are exact."""
    if offer.form != GGUF or wanted.choices.weights or wanted.usual or not is_embedder(source):
        return formats
    return EXACT[0], wanted.choices.kv or EXACT[1]


def _is_from(source: Source, stored: StoredModel) -> bool:
    if source.sha256 is not None:
        return stored.recipe is not None and stored.recipe.source_sha256 == source.sha256
    return stored.origin is not None and source.gave(stored.origin)


def _is(stored: StoredModel, offer: Offer, formats: Formats | None) -> bool:
    """Whether the model is the one that the offer would become, whichever importer made it."""
    recipe = stored.recipe
    if (None if recipe is None else (recipe.weights, recipe.kv)) != formats:
        return False
    if recipe is not None and offer.sha256 is not None:
        return recipe.source_sha256 == offer.sha256
    return stored.origin is not None and offer.origin is not None and stored.origin.address == offer.origin.address


def _require_model(folder: Path, offer: Offer) -> None:
    """See that a fetched folder is one that can be served."""
    if is_model_folder(folder):
        read_facts(folder)
    elif is_encoder_folder(folder):
        read_encoder_facts(folder)
    else:
        raise ModelError(f"{offer.origin.address if offer.origin else folder} is no model folder")


def _content_sha256(path: Path) -> str:
    return folder_sha256(path) if path.is_dir() else sha256_of(path)


def _link_all(source: Path, target: Path) -> None:
    """Give every file a place in the target too, without a copy where the disk can do that.

    The source stays whole until the target has its name, so a kill costs no second fetch.
    """
    for path in _files(source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.move(path, place)


def _files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
