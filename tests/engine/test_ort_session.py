"""Sessions on a chosen provider say what the provider took of the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from support.openvino import needs_openvino
from support.tiny_decoder import TinyDecoder

from obeaver.engine.runners.ort_runner import open_ort_runner
from obeaver.engine.runners.runner import KvShape
from obeaver.engine.sessions.ort_session import open_session, placement_of
from obeaver.engine.sessions.placement import Placement
from obeaver.engine.sessions.providers import choose_provider
from obeaver.errors import ProviderError


def graph_of(folder: Path, *ops: str) -> Path:
    """A chain of operators from x to y."""
    names = ["x", *(f"t{i}" for i in range(1, len(ops))), "y"]
    nodes = [helper.make_node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(ops)]
    ends = [helper.make_tensor_value_info(name, TensorProto.STRING, [None]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_the_cpu_provider_computes_all(tmp_path: Path) -> None:
    session, placement = open_session(TinyDecoder().write(tmp_path), ort.SessionOptions(), choose_provider("cpu"))
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert placement == Placement()


@needs_openvino
def test_a_provider_says_what_it_leaves_to_the_cpu(tmp_path: Path) -> None:
    path = TinyDecoder(kv="int8", logits_from=True).write(tmp_path)
    placement = placement_of(path, choose_provider("openvino:cpu"))
    attentions = sum(node.op_type == "GroupQueryAttention" for node in onnx.load(path).graph.node)
    assert (placement.provider, placement.device) == ("openvino", "cpu")
    assert placement.left_to_cpu == {"GroupQueryAttention": attentions}
    assert 0 < placement.nodes["openvino"] == placement.num_nodes - attentions


@needs_openvino
def test_a_provider_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    path = graph_of(tmp_path, "Identity", "StringNormalizer")
    with pytest.raises(ProviderError, match=r"openvino takes none of the nodes of model\.onnx"):
        placement_of(path, choose_provider("openvino:cpu"))


@needs_openvino
@pytest.mark.parametrize("kv", ["int8", "float32"])
def test_the_runner_on_another_provider_computes_what_it_does_on_the_cpus(tmp_path: Path, kv: str) -> None:
    path = TinyDecoder(kv=kv, logits_from=True, position_ids=False).write(tmp_path)
    logits = []
    for name in ("cpu", "openvino:cpu"):
        runner = open_ort_runner(path, context_length=64, threads=1, provider=choose_provider(name))
        runner.resize(KvShape(2, 32))
        steps = [runner.prefill_with_logits(row, [3, 5, 7, 9 + row], 0).copy() for row in range(2)]
        steps += [runner.decode([4, 6], [4 + step, 4 + step]).copy() for step in range(3)]
        logits.append(np.concatenate(steps))
        assert runner.info.placement.provider == name.split(":")[0]
        assert str(runner.info.placement) in runner.info.label
        runner.close()
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-4 * np.abs(logits[0]).max())
