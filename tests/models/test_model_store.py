import hashlib
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from obeaver.errors import StoreError
from obeaver.models.origin import Origin
from obeaver.models.record import Recipe, read
from obeaver.models.source_cache import KEPT_S
from obeaver.models.store import Store

RECIPE = Recipe("ab" * 32, "int8", "float32")


def make(store: Store, name: str = "tiny", content: bytes = b"weights", recipe: Recipe | None = RECIPE) -> Path:
    with store.staging(name, recipe=recipe) as folder:
        (folder / "model.onnx").write_bytes(content)
        (folder / "sub").mkdir()
        (folder / "sub" / "tokenizer.json").write_bytes(b"{}")
    return store.home / "models" / name


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_empty_store_has_nothing_and_is_not_created_by_looking(store: Store) -> None:
    assert store.list() == []
    assert store.find("tiny") is None
    store.clean()
    assert not store.home.exists()


def test_a_staged_folder_becomes_a_model_when_the_block_ends(store: Store) -> None:
    with store.staging("Tiny", recipe=RECIPE) as folder:
        (folder / "model.onnx").write_bytes(b"weights")
        assert store.find("tiny") is None
    stored = store.find("tiny")
    assert stored is not None
    assert (stored.folder / "model.onnx").read_bytes() == b"weights"
    assert (stored.name, stored.recipe, stored.size_bytes) == ("tiny", RECIPE, 7)


def test_the_time_of_completion_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 1234.5)
    make(store)
    assert [model.created for model in store.list()] == [1234]


def write_half(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"half")
    raise RuntimeError("boom")


def test_a_block_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="boom"), store.staging("tiny") as folder:
        write_half(folder)
    assert store.find("tiny") is None
    assert files_below(store.home / "models") == []


def test_a_block_that_fails_leaves_the_model_that_was_there(store: Store) -> None:
    make(store, content=b"old")
    with pytest.raises(RuntimeError, match="boom"), store.staging("tiny") as folder:
        write_half(folder)
    stored = store.find("tiny")
    assert stored is not None
    assert (stored.folder / "model.onnx").read_bytes() == b"old"


def test_a_model_is_replaced_as_a_whole(store: Store) -> None:
    make(store, content=b"old")
    with store.staging("tiny") as folder:
        (folder / "other.onnx").write_bytes(b"new")
    stored = store.find("tiny")
    assert stored is not None
    assert sorted(path.name for path in files_below(stored.folder)) == ["other.onnx", "store.json"]
    assert files_below(store.home / "models" / ".removed") == []


def test_models_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a", "c"):
        make(store, name)
    (store.home / "models" / "Not a model").mkdir()
    (store.home / "models" / "no-record").mkdir()
    assert [model.name for model in store.list()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"weigh"), "5 bytes instead of 7"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"WEIGHTS"), "model.onnx was changed"),
        (lambda folder: (folder / "sub" / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "store.json").unlink(), "it has no store.json"),
        (lambda folder: (folder / "store.json").write_bytes(b"{"), "cannot be read"),
        (lambda folder: (folder / "store.json").write_bytes(b"[]"), "cannot be read"),
        (lambda folder: (folder / "store.json").write_text('{"version": 99}'), "version 99"),
    ],
)
def test_a_damaged_model_is_absent_until_it_is_made_anew(
    store: Store, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], reason: str
) -> None:
    folder = make(store)
    os.utime(folder / "model.onnx", ns=(1, 1))  # else a coarse clock could give a changed file the recorded time
    damage(folder)
    with caplog.at_level(logging.WARNING):
        assert store.find("tiny") is None
    assert reason in caplog.text
    assert store.list() == []
    make(store)
    assert store.find("tiny") is not None


def test_a_copied_store_is_accepted_and_then_quick_to_check_again(store: Store) -> None:
    folder = make(store)
    os.utime(folder / "model.onnx", ns=(10**9, 10**9))
    assert store.find("tiny") is not None
    before = (folder / "store.json").read_text()
    assert '"mtime_ns": 1000000000,' in before
    assert store.find("tiny") is not None
    assert (folder / "store.json").read_text() == before


def test_a_removed_model_is_gone_from_the_disk(store: Store) -> None:
    make(store)
    store.remove("TINY")
    assert store.find("tiny") is None
    assert files_below(store.home / "models") == []


def test_a_damaged_model_can_be_removed(store: Store) -> None:
    (make(store) / "store.json").unlink()
    store.remove("tiny")
    assert files_below(store.home / "models") == []


def test_removing_what_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(StoreError, match="no model named tiny"):
        store.remove("tiny")


@pytest.mark.parametrize("name", ["../tiny", "", "a/b"])
@pytest.mark.parametrize("action", [Store.find, Store.remove, make])
def test_no_name_leads_out_of_the_store(store: Store, action: Callable[[Store, str], object], name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a model's name"):
        action(store, name)
    assert not store.home.exists()


def test_a_source_goes_with_the_last_model_made_from_it(store: Store) -> None:
    source = keep_source(store, RECIPE.source_sha256)
    make(store, "a")
    make(store, "b", recipe=Recipe(RECIPE.source_sha256, "int4", "float32"))
    make(store, "c", recipe=None)
    store.remove("a")
    assert source.exists()
    store.remove("c")
    assert source.exists()
    store.remove("b")
    assert not source.exists()


def test_a_source_that_somebody_works_with_is_not_removed(store: Store) -> None:
    source = keep_source(store, RECIPE.source_sha256)
    make(store)
    with store.sources.locked(RECIPE.source_sha256, on_wait=lambda: None):
        store.remove("tiny")
    assert source.exists()


def keep_source(store: Store, sha256: str) -> Path:
    with store.sources.work_folder(sha256) as folder:
        (folder / "x").write_bytes(b"GGUF")
        return store.sources.keep(folder / "x", sha256)


def test_a_damaged_source_is_removed_and_absent(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    source = keep_source(store, "cd" * 32)
    assert store.sources.find("cd" * 32) is None
    assert not source.exists()
    assert "damaged" in caplog.text


def leave_work(home: Path, ready: Event) -> None:
    store = Store(home)
    with (
        store.locked("tiny") as claim,
        store.sources.downloading("ef" * 32, on_wait=lambda: None),
        store.sources.work_folder("ef" * 32) as downloads,
        claim.staging() as staging,
    ):
        (downloads / "half.whl").write_bytes(b"half")
        (staging / "model.onnx").write_bytes(b"half")
        ready.set()
        threading.Event().wait()


def killed_at_work(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=leave_work, args=(store.home, ready))
    process.start()
    assert ready.wait(60)
    store.clean()
    assert len(files_below(store.home / "models")) == 1, "the work of a living process stays"
    process.kill()
    process.join()


def test_what_a_killed_process_left_is_removed_by_clean_alone(store: Store) -> None:
    killed_at_work(store)
    assert store.list() == []
    assert len(files_below(store.home / "downloads")) == 1
    store.clean()
    assert files_below(store.home / "models") == []
    assert files_below(store.home / "downloads") == []


def test_what_a_killed_process_left_is_removed_by_the_next_to_work_on_it(store: Store) -> None:
    killed_at_work(store)
    with store.locked("tiny"), store.sources.downloading("ef" * 32, on_wait=lambda: None):
        assert files_below(store.home / "models") == []
        assert files_below(store.home / "downloads") == []


class Clock:
    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


def interrupt_download(store: Store, key: str, *, is_resumable: bool = True) -> None:
    with suppress(ConnectionError), store.sources.work_folder(key, is_resumable=is_resumable) as folder:
        (folder / "a.gguf.part").write_bytes(b"half")
        raise ConnectionError


def test_a_download_that_can_be_resumed_waits_for_a_week(tmp_path: Path) -> None:
    clock = Clock()
    store, key = Store(tmp_path / "home", clock=clock), "ef" * 32
    interrupt_download(store, key)
    store.clean()
    assert store.sources.fetched_bytes(key) == 4
    with store.sources.work_folder(key, is_resumable=True) as folder:
        assert (folder / "a.gguf.part").read_bytes() == b"half"
    assert files_below(store.home / "downloads") == [], "it is done"
    interrupt_download(store, key)
    clock.now_s += KEPT_S + 1
    with store.sources.downloading(key, on_wait=lambda: None):
        Store(store.home, clock=clock).clean()
        assert store.sources.fetched_bytes(key) == 4, "somebody goes on with it"
    store.clean()
    assert files_below(store.home / "downloads") == []


def test_what_cannot_be_resumed_goes_at_once(store: Store) -> None:
    interrupt_download(store, "ef" * 32, is_resumable=False)
    assert files_below(store.home / "downloads") == []


def test_where_a_model_comes_from_is_recorded(store: Store) -> None:
    origin = Origin("hub", "hf:org/tiny", "hf:org/tiny@1234567:tiny.gguf", "1234567", "mit")
    with store.locked("tiny") as claim, claim.staging(RECIPE, origin=origin, made_by="gguf/1") as folder:
        (folder / "model.onnx").write_bytes(b"onnx")
    stored = Store(store.home).find("tiny")
    assert stored is not None
    assert (stored.origin, stored.made_by, stored.recipe) == (origin, "gguf/1", RECIPE)


def test_a_hash_that_the_writer_of_a_file_knows_is_taken(store: Store) -> None:
    hashes: dict[str, str] = {}
    with store.locked("tiny") as claim, claim.staging(hashes=hashes) as folder:
        for name in ("known", "other"):
            (folder / name).write_bytes(b"onnx")
        hashes["known"] = "ab" * 32
    files = read(store.home / "models" / "tiny").files
    assert {name: file.sha256 for name, file in files.items()} == {
        "known": "ab" * 32,
        "other": hashlib.sha256(b"onnx").hexdigest(),
    }


def test_a_record_from_before_origins_were_told_is_read(store: Store) -> None:
    make(store)
    path = store.home / "models" / "tiny" / "store.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: record[key] for key in ("version", "created", "recipe", "files")}))
    stored = store.find("tiny")
    assert stored is not None
    assert (stored.origin, stored.made_by, stored.recipe) == (None, None, RECIPE)


def test_the_second_to_lock_a_model_is_told_and_waits(store: Store) -> None:
    events: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with store.locked("tiny", on_wait=waiting.set):
            events.append("second")

    with store.locked("tiny"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        events.append("first")
    thread.join(60)
    assert events == ["first", "second"]


def test_two_models_can_be_made_at_once(store: Store) -> None:
    with store.staging("a"), store.staging("b"):
        pass
    assert [model.name for model in store.list()] == ["a", "b"]


def test_too_little_space_is_said_with_both_numbers(store: Store) -> None:
    store.require_space(1, purpose="a test")
    with pytest.raises(StoreError, match=r"not enough space in .* for a test: 1,000,000,000,000 MB needed, [\d,]+ MB"):
        store.require_space(10**18, purpose="a test")


def test_a_store_below_a_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "home")
    with pytest.raises(StoreError, match=r"cannot write to the model store .*Not a directory"), store.staging("tiny"):
        pass
    with pytest.raises(StoreError, match=r"cannot write to .*downloads"), store.sources.work_folder("ab"):
        pass


def test_a_models_folder_that_is_a_file_is_an_error_in_one_line(store: Store) -> None:
    store.home.mkdir()
    (store.home / "models").write_text("")
    with pytest.raises(StoreError, match="tiny cannot be written in"), store.staging("tiny"):
        pass


def test_a_source_that_cannot_be_kept_is_an_error_in_one_line(store: Store) -> None:
    with (
        store.sources.work_folder("ab") as folder,
        pytest.raises(StoreError, match=r"cannot write to .*sources"),
    ):
        store.sources.keep(folder / "missing", "ab")
