"""A decoder that is cut into parts: what each computes, and which graphs stay whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.tiny_decoder import TinyDecoder

from obeaver.engine.runners import layer_parts, ort_runner
from obeaver.engine.runners.layer_parts import NUM_PARTS, Layer, cut_into_parts, layers_of
from obeaver.engine.runners.ort_runner import OrtRunner, open_ort_runner
from obeaver.engine.runners.prompt_attention import with_prompt_attention
from obeaver.engine.runners.runner import WHOLE, KvShape, Part

TEXT = [number * 7 % 300 for number in range(40)]


def runner_of(folder: Path, **decoder: object) -> OrtRunner:
    graph = TinyDecoder(kv="int8", context=128, **decoder).write(folder)  # type: ignore[arg-type]
    runner = open_ort_runner(graph, context_length=128)
    runner.resize(KvShape(2, 128))
    return runner


@pytest.mark.parametrize("layers", [4, 5, 7])
@pytest.mark.parametrize("total", [2, 4])
@pytest.mark.parametrize("fused_qkv", [True, False])
def test_parts_give_what_the_whole_gives(tmp_path: Path, layers: int, total: int, *, fused_qkv: bool) -> None:
    runner = runner_of(tmp_path, layers=layers, fused_qkv=fused_qkv)
    assert runner.info.num_parts == NUM_PARTS
    expected = runner.prefill(0, TEXT, 0, want_logits=True)
    assert expected is not None
    expected = expected.copy()
    for number in range(total):
        found = runner.prefill(1, TEXT, 0, want_logits=number == total - 1, part=Part(number, total))
    assert found is not None
    assert np.array_equal(found, expected)
    assert np.array_equal(runner.read_kv(1, 0, len(TEXT)), runner.read_kv(0, 0, len(TEXT)))


def test_a_part_writes_its_own_layers_alone(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, layers=6)
    before = runner.read_kv(0, 0, len(TEXT))
    runner.prefill(0, TEXT, 0, want_logits=False, part=Part(0, 2))
    after = runner.read_kv(0, 0, len(TEXT))
    changed = [layer for layer in range(6) if not np.array_equal(before[layer], after[layer])]
    assert changed == list(layers_of(6, range(2)))


def test_parts_that_were_given_up_leave_nothing_behind(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, layers=4)
    expected = runner.prefill(0, TEXT, 0, want_logits=True)
    assert expected is not None
    expected = expected.copy()
    runner.prefill(1, TEXT[::-1], 0, want_logits=False, part=Part(0, 4))
    for number in range(4):
        found = runner.prefill(1, TEXT, 0, want_logits=number == 3, part=Part(number, 4))
    assert found is not None
    assert np.array_equal(found, expected)


def test_too_few_layers_stay_whole(tmp_path: Path) -> None:
    assert runner_of(tmp_path, layers=NUM_PARTS - 1).info.num_parts == 1


def test_where_the_cut_graph_does_not_load_the_whole_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def broken(graph: Path, *, in_parts: bool = True) -> bytes | None:
        asked.append(in_parts)
        return b"no graph" if in_parts else with_prompt_attention(graph, in_parts=False)

    monkeypatch.setattr(ort_runner, "with_prompt_attention", broken)
    runner = runner_of(tmp_path, layers=4)
    assert asked == [True, False]
    assert runner.info.num_parts == 1
    assert runner.prefill(0, TEXT, 0, want_logits=True, part=WHOLE) is not None


def whole_graph(folder: Path) -> tuple[onnx.GraphProto, list[Layer]]:
    """A graph that attends to prompts in float32, and its layers."""
    data = with_prompt_attention(TinyDecoder(kv="int8", layers=4).write(folder), in_parts=False)
    assert data is not None
    graph = onnx.load_from_string(data).graph
    return graph, [Layer(f"present.{layer}.key", 64) for layer in range(4)]


def is_left_as_it_was(graph: onnx.GraphProto, layers: list[Layer]) -> bool:
    before = graph.SerializeToString()
    return not cut_into_parts(graph, layers) and graph.SerializeToString() == before


def test_a_graph_is_cut(tmp_path: Path) -> None:
    assert cut_into_parts(*whole_graph(tmp_path))


def test_a_graph_in_which_more_passes_between_layers_is_left_as_it_was(tmp_path: Path) -> None:
    graph, layers = whole_graph(tmp_path)
    attended = [node.output[0] for node in graph.node if node.op_type == "If"]
    # What the first layer attends to is needed at the end once more.
    last = graph.node[-1]
    graph.node.insert(len(graph.node) - 1, helper.make_node("Add", [last.input[0], attended[0]], ["mixed"]))
    last.input[0] = "mixed"
    assert is_left_as_it_was(graph, layers)


def test_a_graph_whose_caches_are_told_in_another_order_is_left_as_it_was(tmp_path: Path) -> None:
    graph, layers = whole_graph(tmp_path)
    assert is_left_as_it_was(graph, [layers[place] for place in (1, 0, 2, 3)])


def test_a_graph_with_what_may_not_take_no_token_is_left_as_it_was(tmp_path: Path) -> None:
    graph, layers = whole_graph(tmp_path)
    next(node for node in graph.node if node.op_type == "Sigmoid").op_type = "Softsign"
    assert is_left_as_it_was(graph, layers)


def test_a_graph_whose_layers_need_the_ids_themselves_is_left_as_it_was(tmp_path: Path) -> None:
    graph, layers = whole_graph(tmp_path)
    (embedding,) = (node for node in graph.node if "input_ids" in node.input)
    norm = next(node for node in graph.node if node.name == "3.norm2")
    # A layer adds something that depends on the tokens, as some families do.
    graph.node.insert(
        list(graph.node).index(embedding) + 1, helper.make_node("Gather", list(embedding.input), ["once_more"])
    )
    place = list(graph.node).index(norm)
    graph.node.insert(place, helper.make_node("Add", [norm.input[0], "once_more"], ["added"]))
    graph.node[place + 1].input[0] = "added"
    assert is_left_as_it_was(graph, layers)


@pytest.mark.parametrize("target", [[0, 0, -1, 16], [0, -1, 64]])
def test_a_shape_that_no_token_leaves_open_is_told_or_the_graph_left_as_it_was(
    tmp_path: Path, target: list[int]
) -> None:
    graph, layers = whole_graph(tmp_path)
    norm = next(node for node in graph.node if node.name == "3.norm2")
    place = list(graph.node).index(norm)
    graph.initializer.append(numpy_helper.from_array(np.array(target), "target"))
    graph.node.insert(place, helper.make_node("Reshape", [norm.input[0], "target"], ["reshaped"]))
    # How many elements a token has is known of what was split alone.
    assert cut_into_parts(graph, layers) is (target == [0, -1, 64])


@pytest.mark.parametrize(
    ("node", "given"),
    [
        (helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.INT32), "x"),
        (helper.make_node("Gather", ["table", "ids"], ["y"]), "ids"),
        (helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), "x"),
        (helper.make_node("LayerNormalization", ["x", "scale"], ["y"]), "x"),
        (helper.make_node("Sigmoid", ["x"], ["y"]), "x"),
        (helper.make_node("Sub", ["x", "scale"], ["y"]), "x"),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_what_no_import_has_between_two_layers_here_takes_no_token(node: onnx.NodeProto, given: str) -> None:
    import onnxruntime as ort

    assert node.op_type in layer_parts.TAKE_NONE
    kinds = {"x": (onnx.TensorProto.FLOAT, [1, None, 8]), "ids": (onnx.TensorProto.INT64, [1, None])}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(given, *kinds[given])],
        [helper.make_empty_tensor_value_info("y")],
        [
            numpy_helper.from_array(np.ones((5, 8), np.float32), "table"),
            numpy_helper.from_array(np.ones(8, np.float32), "scale"),
        ],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString())
    empty = {"x": np.empty((1, 0, 8), np.float32), "ids": np.empty((1, 0), np.int64)}
    (found,) = session.run(None, {given: empty[given]})
    assert found.shape == (1, 0, 8)


@pytest.mark.parametrize("num_layers", [4, 5, 30, 31])
def test_parts_have_all_layers_between_them(num_layers: int) -> None:
    parts = [layers_of(num_layers, range(part, part + 1)) for part in range(NUM_PARTS)]
    assert [layer for layers in parts for layer in layers] == list(range(num_layers))
    assert [layers_of(num_layers, Part(number, 2).of(NUM_PARTS)) for number in range(2)] == [
        range(parts[2].start),
        range(parts[2].start, num_layers),
    ]


MAPPED = """
import sys
from pathlib import Path
from obeaver.engine.runners.ort_runner import open_ort_runner
graph = Path(sys.argv[1])
runner = open_ort_runner(graph, context_length=128)
assert runner.info.num_parts > 1
mapped, is_data = 0, False
for line in Path("/proc/self/smaps").read_text().splitlines():
    if "-" in line.split(" ")[0]:
        is_data = line.endswith(".data")
    elif is_data and line.startswith("Rss:"):
        mapped += int(line.split()[1]) * 1024
print(mapped / Path(f"{graph}.data").stat().st_size)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux tells of a process")
def test_no_file_stays_mapped_for_weights_that_are_laid_out_anew(default_model: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MAPPED, default_model / "model.onnx"], capture_output=True, text=True, check=True
    )
    # The table of embeddings, a sixth of it, is read where it stands.
    assert float(run.stdout) < 0.3
