"""Which operators, inputs and outputs an ONNX file has, read from its bytes without loading its weights.

A model file is a protobuf message. Of it only this much is needed (field numbers from the ONNX specification's
onnx.proto): ModelProto.graph = 7, GraphProto.node = 1, input = 11 and output = 12, NodeProto.input = 1, op_type = 4 and
attribute = 5, AttributeProto.name = 1 and i = 3, ValueInfoProto.name = 1 and type = 2, TypeProto.tensor_type = 1,
TypeProto.Tensor.elem_type = 1 and shape = 2, TensorShapeProto.dim = 1 and its dim_value = 1. Everything else is skipped
by its length, so a file of gigabytes costs a few pages.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

_MODEL_GRAPH: Final = 7
_GRAPH_NODE: Final = 1
_GRAPH_INPUT: Final = 11
_GRAPH_OUTPUT: Final = 12
_VALUE_NAME: Final = 1
_VALUE_TYPE: Final = 2
_TYPE_TENSOR: Final = 1
_TENSOR_ELEMENT: Final = 1
_TENSOR_SHAPE: Final = 2
_SHAPE_DIMENSION: Final = 1
_DIMENSION_VALUE: Final = 1
_NODE_INPUT: Final = 1
_NODE_OP_TYPE: Final = 4
_NODE_ATTRIBUTE: Final = 5
_ATTRIBUTE_NAME: Final = 1
_ATTRIBUTE_INT: Final = 3

# Wire types of the protobuf encoding.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Data = bytes | mmap.mmap


class Node(NamedTuple):
    """One node of the main graph.

    Attributes:
        op_type: The operator.
        inputs: Names of tensors; those of optional inputs that are absent are empty.
        ints: Those of its attributes that are whole numbers.
    """

    op_type: str
    inputs: tuple[str, ...]
    ints: Mapping[str, int] = MappingProxyType({})


class Value(NamedTuple):
    """An input or output of the main graph.

    Attributes:
        name: Its name.
        element: Its element type, a value of onnx.TensorProto.DataType.
        shape: Its dimensions; None for those that vary.
    """

    name: str
    element: int
    shape: tuple[int | None, ...]


def read_nodes(path: Path) -> list[Node]:
    """The nodes of a model file's main graph.

    Raises:
        ValueError: The file is no protobuf message.
        OSError: The file cannot be read.
    """
    with _mapped(path) as data:
        return [_node(data, *place) for place in _parts(data, _GRAPH_NODE)]


def read_input_types(path: Path) -> dict[str, int]:
    """The inputs of a model file's main graph: name to element type, a value of onnx.TensorProto.DataType.

    Raises:
        ValueError: The file is no protobuf message.
        OSError: The file cannot be read.
    """
    return {value.name: value.element for value in read_values(path)[0]}


def read_values(path: Path) -> tuple[list[Value], list[Value]]:
    """The inputs and the outputs of a model file's main graph.

    Raises:
        ValueError: The file is no protobuf message.
        OSError: The file cannot be read.
    """
    with _mapped(path) as data:
        inputs, outputs = (
            [_value(data, *place) for place in _parts(data, field)] for field in (_GRAPH_INPUT, _GRAPH_OUTPUT)
        )
        return inputs, outputs


@contextmanager
def _mapped(path: Path) -> Iterator[Data]:
    with path.open("rb") as file:
        if path.stat().st_size == 0:  # cannot be mapped
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _parts(data: Data, wanted: int) -> Iterator[tuple[int, int]]:
    for graph in _messages(data, 0, len(data), _MODEL_GRAPH):
        yield from _messages(data, *graph, wanted)


def _value(data: Data, start: int, stop: int) -> Value:
    name, element, shape = "", 0, list[int | None]()
    for number, begin, end in _fields(data, start, stop):
        if number == _VALUE_NAME:
            name = data[begin:end].decode()
        elif number == _VALUE_TYPE:
            for tensor in _messages(data, begin, end, _TYPE_TENSOR):
                for at, _ in _messages(data, *tensor, _TENSOR_ELEMENT):
                    element = _varint(data, at, end)[0]
                for sizes in _messages(data, *tensor, _TENSOR_SHAPE):
                    shape = [_dimension(data, *place) for place in _messages(data, *sizes, _SHAPE_DIMENSION)]
    return Value(name, element, tuple(shape))


def _dimension(data: Data, start: int, stop: int) -> int | None:
    return next((_varint(data, at, stop)[0] for at, _ in _messages(data, start, stop, _DIMENSION_VALUE)), None)


def _node(data: Data, start: int, stop: int) -> Node:
    op_type, inputs, ints = "", [], {}
    for number, begin, end in _fields(data, start, stop):
        if number == _NODE_OP_TYPE:
            op_type = data[begin:end].decode()
        elif number == _NODE_INPUT:
            inputs.append(data[begin:end].decode())
        elif number == _NODE_ATTRIBUTE:
            ints.update(_int_attribute(data, begin, end))
    return Node(op_type, tuple(inputs), ints)


def _int_attribute(data: Data, start: int, stop: int) -> dict[str, int]:
    """Name and value; nothing where the attribute is of another type."""
    name, value = "", None
    for number, begin, end in _fields(data, start, stop):
        if number == _ATTRIBUTE_NAME:
            name = data[begin:end].decode()
        elif number == _ATTRIBUTE_INT:
            value = _signed(_varint(data, begin, end)[0])
    return {} if value is None else {name: value}


def _signed(value: int) -> int:
    """Negative numbers are written as 64 bits in two's complement."""
    return value - (1 << 64) if value >> 63 else value


def _messages(data: Data, start: int, stop: int, wanted: int) -> Iterator[tuple[int, int]]:
    return ((begin, end) for number, begin, end in _fields(data, start, stop) if number == wanted)


def _fields(data: Data, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each length-delimited or whole-number field; the others are passed over."""
    at = start
    while at < stop:
        tag, at = _varint(data, at, stop)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at, stop)
            if at + size > stop:
                raise ValueError("the file is cut short")
            yield tag >> 3, at, at + size
            at += size
        elif kind == _VARINT:
            begin = at
            _, at = _varint(data, at, stop)
            yield tag >> 3, begin, at
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("the file is not an ONNX model")


def _varint(data: Data, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the file is not an ONNX model")
