"""A store that moves: all of it, or what is left of it, to the same file system or another one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from obeaver.errors import StoreError
from obeaver.models.progress import SilentProgress, Stage
from obeaver.models.record import Recipe
from obeaver.models.relocation import move_store
from obeaver.models.store import Store

SILENT = SilentProgress()
SOURCE_SHA256 = "ab" * 32


@pytest.fixture
def full(store: Store) -> Store:
    """Two models, a source, and what else a store holds."""
    for name in ("first", "second"):
        with store.staging(name, recipe=Recipe(SOURCE_SHA256, "int8", "int8")) as folder:
            (folder / "model.onnx").write_bytes(os.urandom(3_000_000))
            (folder / "sub").mkdir()
            (folder / "sub" / "tokenizer.json").write_text(name)
    known = store.home / "sources" / "known"
    known.mkdir(parents=True)
    (known / "file.json").write_text("{}")
    (store.home / "sources" / f"{SOURCE_SHA256}.gguf").write_bytes(b"source")
    (store.home / "run_history").write_text("Why is the sky blue?\n")
    return store


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder) / "store"


@pytest.fixture(params=["same file system", "another one"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "same file system":
        return tmp_path / "new" / "store"
    found: Path = request.getfixturevalue("elsewhere")
    return found


def contents(home: Path) -> dict[str, bytes]:
    """Every file of a store but locks and records, by its path."""
    files = (path for path in home.rglob("*") if path.is_file())
    kept = (path for path in files if path.suffix != ".lock" and path.name != "store.json")
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in kept}


def test_everything_moves_and_nothing_is_left(full: Store, target: Path) -> None:
    before, models = contents(full.home), full.list()
    assert move_store(full.home, target, progress=SILENT) == 2
    assert contents(target) == before
    moved = Store(target).list()
    assert [(model.name, model.recipe, model.created) for model in moved] == [
        (model.name, model.recipe, model.created) for model in models
    ]
    assert not full.home.exists()


def test_an_empty_store_moves(store: Store, target: Path) -> None:
    store.home.mkdir()
    assert move_store(store.home, target, progress=SILENT) == 0
    assert Store(target).list() == []


class _Interrupted(Exception):
    """Stands for a process that ends here: nothing of the move cleans up after it."""


class EndsAfter(SilentProgress):
    """Ends a move when it has reported so often."""

    def __init__(self, num_reports: int) -> None:
        self._left = num_reports

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> Iterator[Stage]:
        yield self

    def advance(self, n: int) -> None:
        if self._left == 0:
            raise _Interrupted
        self._left -= 1


def test_a_move_that_ends_anywhere_loses_nothing_and_can_be_finished(full: Store, elsewhere: Path) -> None:
    before = contents(full.home)
    num_interrupted = 0
    while True:
        try:
            move_store(full.home, elsewhere, progress=EndsAfter(num_interrupted))
        except _Interrupted:
            num_interrupted += 1
        else:
            break
        whole = {model.name for home in (full.home, elsewhere) for model in Store(home).list()}
        assert whole == {"first", "second"}, "each model is whole in one of the places"
        assert not (set(Store(elsewhere).names()) - {model.name for model in Store(elsewhere).list()})
    assert num_interrupted >= 3
    assert contents(elsewhere) == before
    assert not full.home.exists()


def test_a_model_that_was_copied_and_not_yet_removed_is_there_once_in_the_end(full: Store, target: Path) -> None:
    before = contents(full.home)
    shutil.copytree(full.home / "models" / "first", target / "models" / "first")
    move_store(full.home, target, progress=SILENT)
    assert contents(target) == before
    assert not full.home.exists()


def test_a_damaged_model_moves_as_it_is(full: Store, target: Path) -> None:
    (full.home / "models" / "first" / "sub" / "tokenizer.json").unlink()
    before = contents(full.home)
    move_store(full.home, target, progress=SILENT)
    assert contents(target) == before
    assert [model.name for model in Store(target).list()] == ["second"]


def test_two_stores_become_one(full: Store, target: Path) -> None:
    other = Store(target)
    with other.staging("third") as folder:
        (folder / "model.onnx").write_bytes(b"weights")
    (target / "run_history").write_text("another\n")
    move_store(full.home, target, progress=SILENT)
    assert other.names() == ("first", "second", "third")
    assert (target / "run_history").read_text() == "another\n"
    assert contents(full.home) == {"run_history": b"Why is the sky blue?\n"}


def test_a_database_is_never_mixed_with_another(full: Store, target: Path) -> None:
    for home, text in ((full.home, b"here"), (target, b"there")):
        (home / "responses").mkdir(parents=True)
        (home / "responses" / "responses.sqlite3").write_bytes(text)
    (full.home / "responses" / "responses.sqlite3-wal").write_bytes(b"log")
    move_store(full.home, target, progress=SilentProgress())
    assert contents(target)["responses/responses.sqlite3"] == b"there"
    assert contents(full.home) == {"responses/responses.sqlite3": b"here", "responses/responses.sqlite3-wal": b"log"}


def test_a_database_that_was_copied_and_not_yet_removed_is_there_once(full: Store, target: Path) -> None:
    for home in (full.home, target):
        (home / "responses").mkdir(parents=True)
        (home / "responses" / "responses.sqlite3").write_bytes(b"same")
    move_store(full.home, target, progress=SilentProgress())
    assert contents(target)["responses/responses.sqlite3"] == b"same"
    assert not (full.home / "responses").exists()


def test_different_models_of_one_name_are_refused_before_anything_moves(full: Store, target: Path) -> None:
    with Store(target).staging("second") as folder:
        (folder / "model.onnx").write_bytes(b"other weights")
    with pytest.raises(StoreError, match="both hold a model second: remove one of them"):
        move_store(full.home, target, progress=SILENT)
    assert full.names() == ("first", "second")


def test_a_model_in_use_stays(full: Store, target: Path) -> None:
    stored = full.find("first")
    assert stored is not None
    with full.use(stored), pytest.raises(StoreError, match="first is in use by process"):
        move_store(full.home, target, progress=SILENT)
    assert not target.exists()


def test_a_store_that_somebody_writes_to_stays(full: Store, target: Path) -> None:
    with full.locked("third"), pytest.raises(StoreError, match="another process works on model-third"):
        move_store(full.home, target, progress=SILENT)
    assert not target.exists()


def test_a_folder_with_other_things_is_refused(full: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"holds other things \(thesis.tex\): give a new or empty folder"):
        move_store(full.home, tmp_path / "mine", progress=SILENT)


def test_a_file_is_refused(full: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file is not a folder"):
        move_store(full.home, tmp_path / "file", progress=SILENT)


@pytest.mark.parametrize("place", [".", "models/new", "..", "../home"])
def test_a_folder_inside_or_around_the_store_is_refused(full: Store, place: str) -> None:
    with pytest.raises(StoreError, match=r"inside each other|already"):
        move_store(full.home, full.home / place, progress=SILENT)
    assert len(full.list()) == 2


def test_a_disk_without_room_is_told_before_anything_moves(
    full: Store, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(elsewhere.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    with pytest.raises(StoreError, match=r"not enough space in .*: 6 MB needed, 5 MB free"):
        move_store(full.home, elsewhere, progress=SILENT)
    assert len(full.list()) == 2
    assert Store(elsewhere).names() == ()
