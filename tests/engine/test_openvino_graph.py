"""Graphs of imports in the words that OpenVINO's plugin takes."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from reference.shared_buffers import exact_options
from reference.tiny_gguf import TinyGguf
from support.openvino import needs_openvino
from support.tiny_decoder import TinyDecoder

from obeaver.engine.sessions.openvino_graph import openvino_graph
from obeaver.engine.sessions.ort_session import placement_of
from obeaver.engine.sessions.providers import choose_provider
from obeaver.models.gguf import import_gguf
from obeaver.models.progress import SilentProgress

IDS = np.random.default_rng(3).integers(0, 261, (1, 24))


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """The graph of an import with products of integers."""
    source = TinyGguf().write(tmp_path / "source.gguf")
    (tmp_path / "model").mkdir()
    import_gguf(source, tmp_path / "model", weights="int8", kv="float32", name="tiny", progress=SilentProgress())
    return tmp_path / "model" / "model.onnx"


def logits(model: Path | bytes, folder: Path) -> npt.NDArray[np.float32]:
    options = exact_options()
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed: dict[str, Any] = {"input_ids": IDS, "attention_mask": np.ones_like(IDS), "logits_from": np.zeros(1, np.int64)}
    for value in session.get_inputs():
        if value.name.startswith("past_key_values."):
            feed[value.name] = np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
    result: npt.NDArray[np.float32] = session.run(["logits"], feed)[0]
    return result


def test_products_of_integers_become_products_of_floats_with_the_same_weights(imported: Path) -> None:
    before = [node.op_type for node in onnx.load(imported, load_external_data=False).graph.node]
    data = openvino_graph(imported)
    assert data is not None
    after = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert "MatMulIntegerToFloat" in before
    assert not {"MatMulIntegerToFloat", "QuantizeLinear", "ReduceMax", "ConstantOfShape"} & set(after)
    assert after.count("MatMulNBits") == before.count("MatMulNBits") + before.count("MatMulIntegerToFloat")
    expected, found = logits(imported, imported.parent), logits(data, imported.parent)
    # All that differs is that activations were rounded to 8 bits, which a random model carries on unevenly.
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).max()


def test_a_default_of_an_input_goes_and_all_else_stays(tmp_path: Path) -> None:
    path = TinyDecoder(logits_from=True).write(tmp_path)
    expected = onnx.load(path)
    default = next(tensor for tensor in expected.graph.initializer if tensor.name == "logits_from")
    expected.graph.initializer.remove(default)
    data = openvino_graph(path)
    assert data is not None
    assert onnx.load_from_string(data) == expected


def test_a_graph_with_neither_is_left_alone(tmp_path: Path) -> None:
    assert openvino_graph(TinyDecoder().write(tmp_path)) is None


@needs_openvino
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
@pytest.mark.parametrize("hidden", [256, 320])
def test_openvino_takes_all_of_an_import_in_int4_but_its_attention(tmp_path: Path, kind: str, hidden: int) -> None:
    source = TinyGguf(type=kind, hidden=hidden).write(tmp_path / "source.gguf")
    (tmp_path / "model").mkdir()
    import_gguf(source, tmp_path / "model", weights="int4", kv="float32", name="tiny", progress=SilentProgress())
    placement = placement_of(tmp_path / "model" / "model.onnx", choose_provider("openvino:cpu"))
    assert set(placement.left_to_cpu) == {"GroupQueryAttention"}


@needs_openvino
def test_openvino_takes_all_of_an_import_but_its_attention(imported: Path) -> None:
    placement = placement_of(imported, choose_provider("openvino:cpu"))
    assert set(placement.left_to_cpu) == {"GroupQueryAttention"}
