"""An import in int4 is computed as int8 where memory allows it."""

import dataclasses
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

import pytest
from reference.tiny_gguf import TinyGguf

from obeaver.app import int4_computing
from obeaver.app.chat_engine import open_runner
from obeaver.config import Settings
from obeaver.engine.runners.runner import KvShape, Runner
from obeaver.errors import ModelError
from obeaver.models.facts import ModelFacts, read_facts
from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress

Form = Literal["auto", "int4", "int8"]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    place = tmp_path_factory.mktemp("int4")
    (folder := place / "model").mkdir()
    source = TinyGguf("llama", "Q4_1", context=128).write(place / "source.gguf")
    import_gguf(source, folder, weights="int4", kv="int8", name="tiny", progress=SilentProgress())
    return read_facts(folder)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    (place := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def opened(facts: ModelFacts, form: Form = "auto") -> tuple[Runner, list[str]]:
    reasons: list[str] = []
    return open_runner(facts, Settings(int4_compute=form, threads=1), reasons), reasons


def is_in_int8(runner: Runner) -> bool:
    return "weights of 4 bits" not in runner.info.label


@pytest.mark.parametrize(("form", "expected"), [("auto", True), ("int8", True), ("int4", False)])
def test_the_option_says_how_it_is_computed(facts: ModelFacts, temporary: Path, form: Form, expected: bool) -> None:
    runner, reasons = opened(facts, form)
    assert is_in_int8(runner) is expected
    assert ("computed as int8" in " ".join(reasons)) is expected
    assert list(temporary.iterdir()) == []
    runner.resize(KvShape(1, 16))
    assert runner.prefill(0, [1, 2, 3], 0, want_logits=True) is not None


def test_other_imports_are_computed_as_they_are(facts: ModelFacts) -> None:
    runner, reasons = opened(dataclasses.replace(facts, weights="int8"))
    assert not is_in_int8(runner)
    assert "computed as int8" not in " ".join(reasons)


@pytest.mark.parametrize("short", ["machine_bytes", "available_bytes"])
def test_where_memory_is_short_it_is_computed_as_it_is_stored(
    facts: ModelFacts, monkeypatch: pytest.MonkeyPatch, short: str
) -> None:
    monkeypatch.setattr(int4_computing, short, lambda: facts.size_bytes)
    assert not is_in_int8(opened(facts)[0])
    assert is_in_int8(opened(facts, "int8")[0])


def test_where_products_of_bytes_overflow_it_is_computed_as_it_is_stored(
    facts: ModelFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int4_computing, "byte_products_overflow", lambda: True)
    assert not is_in_int8(opened(facts)[0])


def test_a_full_disk_leaves_it_as_it_is_and_says_so(
    facts: ModelFacts, temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("obeaver.models.gguf.as_int8.TensorWriter._put", full)
    with caplog.at_level(logging.WARNING):
        runner, reasons = opened(facts)
    assert not is_in_int8(runner)
    assert "computed as int8" not in " ".join(reasons)
    assert f"{temporary} cannot hold them as int8 (No space left on device); TMPDIR names another" in caplog.text
    assert list(temporary.iterdir()) == []


def test_a_broken_graph_is_left_to_the_runner(
    facts: ModelFacts, temporary: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(facts.folder, tmp_path / "broken"))
    (folder / "model.onnx.data").write_bytes(b"cut")
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError, match="cannot be run"):
        opened(read_facts(folder))
    assert "are computed as they are" in caplog.text
    assert list(temporary.iterdir()) == []


def test_without_a_place_for_temporary_files_it_is_left_as_it_is(
    facts: ModelFacts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    with caplog.at_level(logging.WARNING):
        assert not is_in_int8(opened(facts)[0])
    assert "no temporary file can be written" in caplog.text


def test_what_a_killed_process_left_is_removed_a_day_later(facts: ModelFacts, temporary: Path) -> None:
    old, new = (temporary / f"obeaver-int8-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
    yesterday = time.time() - 25 * 60 * 60
    os.utime(old, (yesterday, yesterday))
    opened(facts)
    assert list(temporary.iterdir()) == [new]
