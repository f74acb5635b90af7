"""`obeaver models`, `show` and `rm` as processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from reference.tiny_gguf import TinyGguf
from support.tiny_decoder import TinyDecoder
from support.tmux import terminal

from obeaver.models.catalog import load_catalog
from obeaver.models.facts import read_facts
from obeaver.models.store import Store

PHIS = "phi-3.5-mini or phi-4-mini or phi-3-mini-4k"
WHERE = "obeaver models lists all; or give a path"


class Ran(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


def obeaver(*words: str, home: Path, stdin: str = "") -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "obeaver", *words],
        env={**os.environ, "OBEAVER_HOME": str(home)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two models, one of them damaged."""
    store = Store(tmp_path / "home")
    for name in ("tiny", "broken"):
        with store.staging(name) as folder:
            TinyDecoder().write(folder)
            (folder / "tokenizer.json").write_text("{}")
            (folder / "chat_template.jinja").write_text("{{ messages }}\x1b[2J")
    (store.home / "models" / "broken" / "model.onnx").unlink()
    return store


def test_models_lists_what_is_installed_and_what_can_be_had(store: Store) -> None:
    ran = obeaver("models", home=store.home)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"installed in {store.home}:"
    assert [line.split()[0] for line in lines[1:4]] == ["NAME", "broken", "tiny"]
    assert "model.onnx is missing: obeaver rm broken" in lines[2]
    assert lines[3].split()[:5] == ["tiny", "chat", "int8", lines[3].split()[3], "kB"]
    assert any(line.startswith("smollm2-135m ") for line in lines[5:])


def test_models_as_json_has_every_fact_of_the_table(store: Store) -> None:
    ran = obeaver("models", "--json", home=store.home)
    listed = json.loads(ran.out)
    assert (ran.status, ran.err, listed["home"]) == (0, "", str(store.home))
    broken, tiny = listed["installed"]
    assert (broken["name"], broken["problem"], broken["kind"]) == ("broken", "model.onnx is missing", None)
    assert (tiny["name"], tiny["kind"], tiny["weights"], tiny["kv"]) == ("tiny", "chat", "int8", "float32")
    assert (tiny["context_length"], tiny["provider"], tiny["problem"], tiny["in_use_by"]) == (128, "cpu", None, [])
    assert [entry["name"] for entry in listed["available"]] == list(load_catalog())
    memory = listed["memory"]
    assert 0 < memory["free_bytes"] <= memory["total_bytes"]
    for entry in listed["available"]:
        assert entry["fits"] == (entry["memory_bytes"] <= memory["total_bytes"])
        assert entry["fits_now"] == (entry["memory_bytes"] <= memory["free_bytes"])


def test_models_says_which_of_them_fit(store: Store) -> None:
    heading, *rows = obeaver("models", home=store.home).out.partition("\navailable")[2].splitlines()[1:]
    at = heading.index("FITS")
    fitting = {row.split()[0]: row[at : at + 7].strip() for row in rows if row.startswith(("smollm2", "qwen3", "gpt"))}
    assert fitting["smollm2-135m"] == "yes"
    assert set(fitting.values()) <= {"yes", "not now", "no"}


def test_models_in_an_empty_store_says_so_and_makes_no_folder(tmp_path: Path) -> None:
    ran = obeaver("models", home=tmp_path / "none")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"nothing is installed in {tmp_path / 'none'}\n")
    assert not (tmp_path / "none").exists()


def test_the_table_fits_a_small_terminal(store: Store) -> None:
    line = [sys.executable, "-m", "obeaver", "models", "--home", str(store.home)]
    with terminal(line, columns=44, COLUMNS="") as pane:
        shown = pane.wait_for("exit status 0")
    lines = [line for line in shown.splitlines() if line.startswith(("tiny ", "smollm2-135m "))]
    assert len(lines) == 2
    assert max(map(len, lines)) <= 44


def test_show_tells_the_facts_and_the_template(store: Store) -> None:
    ran = obeaver("show", "Tiny", home=store.home)
    assert (ran.status, ran.err) == (0, "")
    told = dict(line.strip().split(maxsplit=1) for line in ran.out.splitlines() if len(line.split()) > 1)
    assert (told["kind"], told["context"], told["weights"]) == ("chat (llama)", "128 tokens", "int8")
    assert told["folder"] == str(store.home / "models" / "tiny")
    assert ran.out.endswith("  chat template\n    {{ messages }}\N{REPLACEMENT CHARACTER}[2J\n")


def test_show_takes_a_folder(store: Store) -> None:
    folder = store.home / "models" / "tiny"
    ran = obeaver("show", str(folder), "--json", home=store.home.parent / "other")
    shown = json.loads(ran.out)
    assert (ran.status, shown["installed"], shown["name"], shown["folder"]) == (0, False, "tiny", str(folder))
    assert shown["chat_template"].startswith("{{ messages }}")


def test_show_tells_of_a_model_that_is_not_installed(store: Store) -> None:
    ran = obeaver("show", "smollm2-135m", home=store.home)
    assert ran.status == 0
    assert f"no; obeaver pull smollm2-135m fetches it into {store.home}" in ran.out
    shown = json.loads(obeaver("show", "smollm2-135m", "--json", home=store.home).out)
    assert (shown["installed"], shown["licence"], shown["context_length"]) == (False, "Apache-2.0", 8192)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "obeaver: broken is damaged (model.onnx is missing): obeaver rm broken\n"),
        (
            "phi-35-mini",
            f"obeaver: there is no model named 'phi-35-mini': did you mean {PHIS}? {WHERE}\n",
        ),
        ("./none", "obeaver: there is no file or folder ./none\n"),
    ],
)
def test_show_of_what_cannot_be_shown_is_one_line_and_exit_status_1(store: Store, name: str, message: str) -> None:
    assert obeaver("show", name, home=store.home) == (1, "", message)


@pytest.mark.parametrize("words", [("show", ""), ("import", ""), ("convert", "", "-p", "int4")])
def test_an_empty_word_is_not_the_current_folder(store: Store, words: tuple[str, ...]) -> None:
    ran = obeaver(*words, home=store.home)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.endswith(": it is empty\n")


def test_rm_removes_and_tells_how_much(store: Store) -> None:
    ran = obeaver("rm", "tiny", "broken", "--yes", home=store.home)
    assert (ran.status, ran.err) == (0, "")
    assert [line.rpartition(": ")[0] for line in ran.out.splitlines()] == ["removed tiny", "removed broken"]
    assert store.names() == ()


def test_rm_without_anybody_to_ask_removes_nothing(store: Store) -> None:
    ran = obeaver("rm", "tiny", home=store.home, stdin="y\n")
    assert ran == (1, "", "obeaver: nobody is there to be asked whether to remove tiny: give --yes\n")
    assert "tiny" in store.names()


def test_rm_asks_in_a_terminal(store: Store) -> None:
    line = [sys.executable, "-m", "obeaver", "rm", "tiny", "--home", str(store.home)]
    with terminal(line) as pane:
        pane.wait_for("remove tiny? [y/N]")
        pane.type("n")
        pane.wait_for("exit status 1")
    assert "tiny" in store.names()
    with terminal(line) as pane:
        pane.wait_for("remove tiny? [y/N]")
        pane.type("y")
        pane.wait_for("exit status 0")
    assert "tiny" not in store.names()


def test_rm_of_an_unknown_name_removes_none_of_the_others(store: Store) -> None:
    ran = obeaver("rm", "tiny", "brokn", "--yes", home=store.home)
    assert ran == (1, "", f"obeaver: there is no model named 'brokn' in {store.home}: did you mean broken?\n")
    assert store.names() == ("broken", "tiny")


def test_rm_of_a_model_in_use_says_who_uses_it(store: Store) -> None:
    stored = store.find("tiny")
    assert stored is not None
    with store.use(stored):
        ran = obeaver("rm", "tiny", "--yes", home=store.home)
        told = f"obeaver: tiny is in use by process {os.getpid()}: stop it first, or give --force\n"
        assert ran == (1, "", told)
        assert "in use by process" in obeaver("models", home=store.home).out
        assert obeaver("rm", "tiny", "--yes", "--force", home=store.home).status == 0
    assert "tiny" not in store.names()


@pytest.mark.real
def test_the_default_model_is_listed_shown_and_removed(default_model: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(default_model, home / "models" / "smollm2-135m")
    [listed] = json.loads(obeaver("models", "--json", home=home).out)["installed"]
    assert (listed["name"], listed["weights"], listed["kv"], listed["problem"]) == (
        "smollm2-135m",
        "int8",
        "int8",
        None,
    )
    shown = obeaver("show", "smollm2-135m", home=home).out
    is_measured = read_facts(default_model).fidelity is not None  # only where somebody asked for it
    assert ("mean KL 0.0" if is_measured else "not measured; obeaver pull smollm2-135m --measure does it") in shown
    assert "<|im_start|>" in shown
    assert obeaver("rm", "smollm2-135m", "--yes", home=home).status == 0
    assert list((home / "models" / ".removed").iterdir()) == []


@pytest.mark.parametrize(("words", "is_measured"), [((), True), (("--no-measure",), False)])
def test_a_small_file_is_measured_by_its_import_unless_nobody_wants_it(
    words: tuple[str, ...], is_measured: bool, tmp_path: Path
) -> None:
    file = TinyGguf().write(tmp_path / "tiny.gguf")
    ran = obeaver("import", str(file), "--name", "tiny", *words, home=tmp_path / "home")
    assert ran.status == 0, ran.err
    shown = json.loads(obeaver("show", "tiny", "--json", home=tmp_path / "home").out)
    assert (shown["fidelity"] is not None) is is_measured
