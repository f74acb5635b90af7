"""`obeaver init`: the store's folder, chosen, moved and remembered."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disk import bytes_below

from obeaver.models.store import Store


class Person:
    """Somebody with a home folder, and no variable that says where the store is."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith("OBEAVER_")}
        self.environ |= {"HOME": str(home), "USERPROFILE": str(home)}
        home.mkdir()

    def start(self, *words: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "obeaver", *words],
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def obeaver(self, *words: str, **environ: str) -> tuple[int, str, str]:
        with self.start(*words, **environ) as process:
            out, err = process.communicate()
        return process.returncode, out, err

    def store_home(self) -> str:
        status, out, err = self.obeaver("models", "--json")
        assert (status, err) == (0, "")
        return str(json.loads(out)["home"])


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "person")


def make(home: Path, name: str = "tiny") -> Path:
    with Store(home).staging(name) as folder:
        (folder / "model.onnx").write_bytes(os.urandom(1000))
    return home / "models" / name


def test_without_a_folder_the_default_store_is_made(person: Person) -> None:
    place = person.home / ".obeaver"
    assert person.obeaver("init") == (0, f"{place}\n", "")
    assert (place / "models").is_dir()
    assert person.store_home() == str(place)


def test_a_chosen_folder_is_remembered_by_later_commands(person: Person, tmp_path: Path) -> None:
    place = tmp_path / "models on a big disk"
    assert person.obeaver("init", str(place)) == (0, f"{place}\n", "")
    assert person.store_home() == str(place)


def test_the_store_moves_with_its_models_and_back(person: Person, tmp_path: Path) -> None:
    first, second = person.home / ".obeaver", tmp_path / "second"
    make(first)
    assert person.obeaver("init", str(second)) == (0, f"{second}\n", f"moved 1 model from {first}\n")
    assert (Store(first).names(), Store(second).names()) == ((), ("tiny",))
    assert person.store_home() == str(second)
    assert person.obeaver("init", str(first)) == (0, f"{first}\n", f"moved 1 model from {second}\n")
    assert Store(first).names() == ("tiny",)
    assert not second.exists()
    assert person.store_home() == str(first)


def test_a_relative_folder_is_remembered_as_an_absolute_one(person: Person, tmp_path: Path) -> None:
    place = os.path.relpath(tmp_path / "store")
    assert person.obeaver("init", place)[:2] == (0, f"{tmp_path / 'store'}\n")


def test_the_environment_wins_over_what_is_remembered(person: Person, tmp_path: Path) -> None:
    person.obeaver("init", str(tmp_path / "a"))
    status, out, _ = person.obeaver("models", "--json", OBEAVER_HOME=str(tmp_path / "b"))
    assert (status, json.loads(out)["home"]) == (0, str(tmp_path / "b"))
    status, out, err = person.obeaver("init", str(tmp_path / "c"), OBEAVER_HOME=str(tmp_path / "b"))
    assert (status, out) == (0, f"{tmp_path / 'c'}\n")
    assert err == f"OBEAVER_HOME is set to {tmp_path / 'b'} and wins: unset it to use {tmp_path / 'c'}\n"


def test_a_store_can_be_used_where_it_is(person: Person, tmp_path: Path) -> None:
    make(person.home / ".obeaver", "mine")
    make(tmp_path / "shared", "theirs")
    assert person.obeaver("init", str(tmp_path / "shared"), "--no-move")[0] == 0
    listed = json.loads(person.obeaver("models", "--json")[1])["installed"]
    assert [model["name"] for model in listed] == ["theirs"]
    assert Store(person.home / ".obeaver").names() == ("mine",)


def test_what_cannot_be_done_is_one_line_and_changes_nothing(person: Person, tmp_path: Path) -> None:
    make(person.home / ".obeaver")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    told = f"obeaver: {tmp_path / 'mine'} holds other things (notes.txt): give a new or empty folder\n"
    assert person.obeaver("init", str(tmp_path / "mine")) == (1, "", told)
    assert person.obeaver("init", str(tmp_path / "mine"), "--no-move") == (1, "", told)
    assert person.store_home() == str(person.home / ".obeaver")


def test_a_note_that_cannot_be_understood_says_what_to_do(person: Person) -> None:
    note = person.home / ".obeaver" / "home.json"
    note.parent.mkdir()
    note.write_text("{")
    status, out, err = person.obeaver("models")
    assert (status, out) == (1, "")
    assert err.startswith(f"obeaver: {note} cannot be understood (JSONDecodeError): remove it, then run obeaver init")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder) / "store"


def test_a_killed_move_is_told_to_everybody_and_finished_by_the_next_init(person: Person, other_disk: Path) -> None:
    first = person.home / ".obeaver"
    content = {name: (make(first, name) / "model.onnx").read_bytes() for name in ("a", "b", "c")}
    gate = first / "models" / "b" / "waits-for-a-writer"
    os.mkfifo(gate)
    with person.start("init", str(other_disk)) as process:
        while process.poll() is None and bytes_below(other_disk, ".arriving/b/store.json") == 0:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    gate.unlink()
    assert (Store(first).names(), Store(other_disk).names()) == (("b", "c"), ("a",))
    status, out, err = person.obeaver("models")
    assert (status, out) == (1, "")
    assert err.startswith(f"obeaver: the model store is on its way from {first} to {other_disk}: ")
    status, _, err = person.obeaver("init", str(person.home / "third"))
    assert (status, err.count("\n")) == (1, 1)
    assert "was interrupted: obeaver init finishes it" in err
    status, out, _ = person.obeaver("init")
    assert (status, out) == (0, f"{other_disk}\n")
    assert {name: (other_disk / "models" / name / "model.onnx").read_bytes() for name in content} == content
    assert {model.name for model in Store(other_disk).list()} == set(content)
    assert Store(first).names() == ()


@pytest.mark.real
def test_the_default_model_answers_after_its_store_has_moved(
    person: Person, default_model: Path, other_disk: Path
) -> None:
    shutil.copytree(default_model, person.home / ".obeaver" / "models" / "smollm2-135m")
    assert person.obeaver("init", str(other_disk))[0] == 0
    words = ("run", "smollm2-135m", "Say hello.", "--temperature", "0", "--max-tokens", "4", "--offline")
    status, out, err = person.obeaver(*words)
    assert status == 0, err
    assert out.strip()
