"""What an import costs: the file that is made for it, and the figures."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from reference.tiny_gguf import TinyGguf

from benchmarks.imports.shapes import SHAPES, STORAGES, write_shape
from benchmarks.imports.watched import CommandFailed, watch
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.reader import GgufFile

SMALL = replace(SHAPES["smollm2-1.7b"], layers=1, hidden=256, ffn=512, heads=4, kv_heads=2, vocab=288, context=256)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_of_a_shape_can_be_imported(tmp_path: Path, storage: str) -> None:
    tokenizer = GgufFile(TinyGguf().write(tmp_path / "tokenizer.gguf"))
    file = GgufFile(write_shape(tmp_path / "shape.gguf", SMALL, storage, tokenizer))
    model = read_architecture(file)
    assert (model.num_layers, model.hidden_size, model.ffn_size, model.num_kv_heads) == (1, 256, 512, 2)
    assert file.metadata["tokenizer.ggml.tokens"] == tokenizer.metadata["tokenizer.ggml.tokens"]
    assert 0.001 < file.read("blk.0.ffn_up.weight").std() < 0.1


def test_an_import_is_measured(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "tokenizer.gguf")
    command = [sys.executable, "-m", "obeaver", "import", str(source), "--name", "m"]
    taken = watch(command, {**os.environ, "OBEAVER_HOME": str(tmp_path / "home")})
    assert (tmp_path / "home" / "models" / "m" / "store.json").is_file()
    assert "quantise: done" in taken.said
    assert taken.wall_s > 0
    assert taken.cpu_s > 0
    assert taken.peak_bytes >= taken.peak_own_bytes > 20e6


def test_a_command_that_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no-such-file"):
        watch([sys.executable, "-m", "obeaver", "import", str(tmp_path / "no-such-file.gguf")], os.environ)


@pytest.mark.slow
def test_the_command_tells_what_a_shape_costs(default_gguf: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "import", "--layers", "1", "--tokenizer", str(default_gguf)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "smollm2-1.7b, 1 layers, Q4_0" in done.stdout
