"""Imports of every family, computed part by part as a whole: the same to the bit. Two families stay whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import DENSE, MIXTURES, TinyGguf

from obeaver.engine.runners.ort_runner import open_ort_runner
from obeaver.engine.runners.runner import KvShape, Part
from obeaver.models.gguf.importer import import_gguf
from obeaver.models.progress import SilentProgress

LAYERS = {"gemma3": 8}
WHOLE = {"command-r", "olmo2"}
"""Attention and the feed-forward network side by side, and norms behind both: more passes than a norm reads."""
SMALL = TinyGguf(hidden=128, ffn=96, head_dim=32, context=128)
MODELS = {
    **{name: replace(SMALL, architecture=name, layers=LAYERS.get(name, 4)) for name in DENSE},
    **{f"{name} experts": replace(SMALL, architecture=name, layers=4, experts=5) for name in MIXTURES},
    "in int4": replace(SMALL, layers=4, type="Q4_1"),
}
TEXT = [number * 7 % 280 for number in range(40)]


@pytest.mark.parametrize("name", MODELS)
def test_parts_give_what_the_whole_gives(tmp_path: Path, name: str) -> None:
    (folder := tmp_path / "model").mkdir()
    weights = "int4" if name == "in int4" else "int8"
    source = MODELS[name].write(tmp_path / "source.gguf")
    import_gguf(source, folder, weights=weights, kv="int8", name="x", progress=SilentProgress())
    runner = open_ort_runner(folder / "model.onnx", context_length=128)
    assert (runner.info.num_parts == 1) is (name in WHOLE)
    runner.resize(KvShape(2, 128))
    expected = runner.prefill(0, TEXT, 0, want_logits=True)
    assert expected is not None
    expected = expected.copy()
    total = runner.info.num_parts
    for number in range(total):
        found = runner.prefill(1, TEXT, 0, want_logits=number == total - 1, part=Part(number, total))
    assert found is not None
    assert np.array_equal(found, expected)
    assert np.array_equal(runner.read_kv(0, 0, len(TEXT)), runner.read_kv(1, 0, len(TEXT)))
