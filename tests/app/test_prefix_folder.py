"""What decides that keys and values on the disk are those that would be computed now."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_runner import FakeRunner

from obeaver.app.prefix_folder import kv_origin, open_prefix_disk
from obeaver.config import Settings
from obeaver.engine.runners.runner import KvLayout

INFO = FakeRunner().info


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.onnx", "model.onnx.data", "obeaver.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_one_other_byte_of_graph_or_weights_is_another_origin(model: Path, name: str) -> None:
    before = kv_origin(model, INFO)
    data = bytearray((model / name).read_bytes())
    data[-1] ^= 1
    (model / name).write_bytes(data)
    assert kv_origin(model, INFO) != before


def test_another_runtime_or_layout_is_another_origin(model: Path) -> None:
    layout = KvLayout(2, 1, 2, "float32")
    others = [replace(INFO, label="onnxruntime 9"), replace(INFO, kv_layout=layout)]
    assert len({kv_origin(model, info) for info in (INFO, *others)}) == 3


def test_other_code_that_runs_it_is_another_origin(model: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    origins = {kv_origin(model, INFO)}
    for text in ("a = 1", "a = 2"):
        (code / "runner.py").write_text(text)
        origins.add(kv_origin(model, INFO, [code]))
    assert len(origins) == 3


def test_a_file_more_is_another_origin(model: Path) -> None:
    before = kv_origin(model, INFO)
    (model / "weights.bin").write_bytes(b"")
    assert kv_origin(model, INFO) != before


def test_another_place_name_or_template_is_not(model: Path) -> None:
    before = kv_origin(model, INFO)
    (model / "chat_template.jinja").write_text("another")
    assert kv_origin(model.rename(model.with_name("moved")), INFO) == before


def test_nothing_is_kept_where_nobody_wants_it_or_nothing_can_be_copied(model: Path, tmp_path: Path) -> None:
    wanted = Settings(prefix_cache_dir=str(tmp_path / "kv"))
    assert open_prefix_disk(Settings(), model, INFO, 1000) is None
    assert open_prefix_disk(wanted, model, FakeRunner(can_copy_kv=False).info, 1000) is None
    disk = open_prefix_disk(wanted, model, INFO, 1000)
    assert disk is not None
    assert disk.stats().budget_bytes == 2_000_000_000
    disk.close()
    assert not (tmp_path / "kv").exists(), "nothing is made before there is something to store"
