"""Who uses a stored model, across processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from obeaver.errors import StoreError
from obeaver.models.store import Store, StoredModel

PROGRAM = """
import sys
from pathlib import Path
from obeaver.models.store import Store
store = Store(Path(sys.argv[1]))
with store.use(store.find("tiny")):
    print("in use", flush=True)
    sys.stdin.readline()
print("given back", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def tiny(store: Store) -> StoredModel:
    with store.staging("tiny") as folder:
        (folder / "model.onnx").write_bytes(b"weights")
    stored = store.find("tiny")
    assert stored is not None
    return stored


def started(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in use\n"
    return process


def test_a_model_is_in_use_for_the_length_of_the_block(store: Store, tiny: StoredModel) -> None:
    assert store.users("tiny") == ()
    with store.use(tiny), store.use(tiny):
        assert len(store.users("Tiny")) == 1
    assert store.users("tiny") == ()
    assert list((store.home / "locks" / "in-use").iterdir()) == []


def test_another_process_uses_it_until_it_gives_it_back(store: Store, tiny: StoredModel) -> None:
    with started(store.home) as process:
        assert store.users("tiny") == (process.pid,)
        assert process.stdin is not None
        assert process.stdout is not None
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "given back\n"
        assert store.users("tiny") == ()
        process.communicate("\n")


def test_a_process_that_was_killed_uses_nothing(store: Store, tiny: StoredModel) -> None:
    with started(store.home) as process:
        process.kill()
        process.communicate()
    assert store.users("tiny") == ()
    assert list((store.home / "locks" / "in-use").iterdir()) == []


def test_a_model_whose_name_begins_alike_is_another_one(store: Store, tiny: StoredModel) -> None:
    with store.staging("tiny-2") as folder:
        (folder / "model.onnx").write_bytes(b"weights")
    with store.use(tiny):
        assert store.users("tiny-2") == ()


def test_a_model_in_use_is_not_removed_unless_forced(store: Store, tiny: StoredModel) -> None:
    with store.use(tiny):
        with pytest.raises(StoreError, match="tiny is in use by process"):
            store.remove("tiny")
        assert store.find("tiny") is not None
        store.remove("tiny", force=True)
    assert store.find("tiny") is None


def test_a_model_from_elsewhere_leaves_no_mark(store: Store, tmp_path: Path) -> None:
    with store.use(StoredModel("outside", tmp_path, None, 0, 1)):
        assert not store.home.exists()


def test_a_store_that_cannot_be_written_serves_without_a_mark(store: Store, tiny: StoredModel) -> None:
    (store.home / "locks" / "in-use").write_bytes(b"a file where the folder would be")
    with store.use(tiny):
        assert store.users("tiny") == ()
