from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_decoder import TinyDecoder

from obeaver.onnx_outline import Node, read_input_types, read_nodes


def ints(node: onnx.NodeProto) -> dict[str, int]:
    return {attribute.name: attribute.i for attribute in node.attribute if attribute.type == onnx.AttributeProto.INT}


def test_the_nodes_are_those_that_the_onnx_package_reads(tmp_path: Path) -> None:
    path = TinyDecoder(position_ids=True, logits_from=True, kv="int8").write(tmp_path)
    expected = [Node(node.op_type, tuple(node.input), ints(node)) for node in onnx.load(path).graph.node]
    assert read_nodes(path) == expected
    attention = next(node for node in read_nodes(path) if node.op_type == "GroupQueryAttention")
    assert (attention.ints["do_rotary"], attention.ints["local_window_size"]) == (1, -1)


def test_the_inputs_have_the_types_that_the_onnx_package_reads(tmp_path: Path) -> None:
    path = TinyDecoder(position_ids=True, kv="int8").write(tmp_path)
    expected = {value.name: value.type.tensor_type.elem_type for value in onnx.load(path).graph.input}
    assert read_input_types(path) == expected
    assert expected["past_key_values.0.key"] == onnx.TensorProto.INT8


def test_fields_of_fixed_width_and_numbers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    graph = b"\x0a\x05\x22\x03Abc"
    path.write_bytes(b"\x08\x0a" + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + b"\x3a" + bytes([len(graph)]) + graph)
    assert read_nodes(path) == [Node("Abc", ())]


def test_an_empty_file_has_no_nodes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    assert (read_nodes(path), read_input_types(path)) == ([], {})


@pytest.mark.parametrize("content", [b"\x3a\x7f\x0a", b"\x07", b"\xff" * 20, b"\x08"])
def test_a_file_that_is_no_message_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not an ONNX model|cut short"):
        read_nodes(path)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    with suppress(ValueError):
        assert all(isinstance(node, Node) for node in read_nodes(path))
    with suppress(ValueError):
        assert all(isinstance(kind, int) for kind in read_input_types(path).values())
