"""Whether int8 products need onnxruntime's slower way: looked up, and held against what it computes here."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from obeaver.processor import EXACT_BYTE_PRODUCTS, byte_products_overflow, description


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "fpu avx2 avx512f avx512_vnni", False),
        ("AMD64", "fpu avx2 avx_vnni", False),
        ("x86_64", "fpu avx2 avx512f avx512bw", True),
        ("x86_64", "", True),
        ("aarch64", "fp asimd", False),
    ],
)
def test_the_processors_flags_decide(tmp_path: Path, machine: str, flags: str, expected: bool) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbogomips\t: 5200.00\n")
    assert byte_products_overflow(machine, info) is expected


def test_an_x86_processor_that_cannot_be_looked_up_is_not_trusted(tmp_path: Path) -> None:
    assert byte_products_overflow("x86_64", tmp_path / "missing") is True


def test_a_processor_is_told_from_one_that_can_do_more_whatever_the_order(tmp_path: Path) -> None:
    told = []
    for flags in ("fpu avx2", "avx2 fpu", "fpu avx2 avx512_vnni"):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
        told.append(description("x86_64", tmp_path / "cpuinfo"))
    assert told[0] == told[1] != told[2]
    assert description("aarch64", tmp_path / "missing") == "aarch64"


@pytest.mark.parametrize("num_tokens", [1, 2, 16, 300])
def test_with_what_is_decided_the_largest_products_of_bytes_are_right_here(num_tokens: int) -> None:
    depth, width = 192, 64
    matrix = np.where(np.arange(width) % 2, 127, -127).astype(np.int8) * np.ones((depth, 1), np.int8)
    node = helper.make_node("MatMulInteger", ["x", "matrix"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["tokens", depth])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, ["tokens", width])
    graph = helper.make_graph([node], "product", [x], [y], [numpy_helper.from_array(matrix, "matrix")])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    if byte_products_overflow():
        options.add_session_config_entry(EXACT_BYTE_PRODUCTS, "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((num_tokens, depth), 255, np.uint8)})
    assert np.array_equal(found, np.broadcast_to(255 * depth * matrix[0].astype(np.int32), (num_tokens, width)))
