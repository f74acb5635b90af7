"""A decoder graph as OpenVINO's plugin takes it. It refuses two things that imports have, with their whole graph.

A default of an input, which is an initializer of the input's name: the input stays, the default goes.

Products of integers whose scales differ from token to token:

    x -> Abs -> ReduceMax -> Mul = scale         QuantizeLinear(x, scale) -> MatMulIntegerToFloat(weights) -> Mul(scale)

They become MatMulNBits with the same int8 weights, a row's scale repeated for each block. What activations are rounded
to is then OpenVINO's choice. (As DequantizeLinear and MatMul, it would compute with float32 weights, at a tenth of the
speed and four times the memory.)
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from obeaver.engine.sessions.cannot_run import CannotRun

_PRODUCT: Final = "MatMulIntegerToFloat"
_ROUNDING: Final = "QuantizeLinear"
_SCALING: Final = "Mul"
_BLOCK_SIZES: Final = (64, 32, 16)
_ZERO: Final = 128
"""What stands for 0 in MatMulNBits' 8 bits."""


def openvino_graph(graph: Path) -> bytes | None:
    """The graph with what the plugin refuses put in other words, with weights that it changed inside.

    Args:
        graph: The .onnx file.

    Returns:
        None where there is nothing to change.

    Raises:
        CannotRun: A matrix has a shape that cannot be put in other words.
    """
    import onnx

    model = onnx.load(graph, load_external_data=False)
    if not (_drop_defaults(model.graph) | _use_float_products(model.graph, graph.parent)):
        return None
    data: bytes = model.SerializeToString()
    return data


def _drop_defaults(graph: Any) -> bool:
    inputs = {value.name for value in graph.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in inputs]
    dropped = len(kept) < len(graph.initializer)
    if dropped:
        del graph.initializer[:]
        graph.initializer.extend(kept)
    return dropped


def _use_float_products(graph: Any, folder: Path) -> bool:
    makers = {name: node for node in graph.node for name in node.output}
    takers = {name: node for node in graph.node for name in node.input}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    replaced: dict[str, Any] = {}
    for product in graph.node:
        if product.op_type == _PRODUCT:
            rounding, scaling = makers.get(product.input[0]), takers[product.output[0]]
            if rounding is not None and rounding.op_type == _ROUNDING and scaling.op_type == _SCALING:
                weights, scales = (tensors[product.input[place]] for place in (1, 3))
                replaced[scaling.output[0]] = _float_product(rounding.input[0], weights, scales, scaling, folder)
    if not replaced:
        return False
    nodes = [replaced.get(node.output[0], node) for node in graph.node]
    needed = _needed(nodes, {value.name for value in graph.output})
    del graph.node[:]
    graph.node.extend(needed)
    return True


def _float_product(x: str, weights: Any, scales: Any, scaling: Any, folder: Path) -> Any:
    """In place of the scaling that ends a product of integers; the weights [columns, rows] are changed in place."""
    import numpy as np
    from onnx import helper, numpy_helper

    columns, rows = weights.dims
    block_size = next((size for size in _BLOCK_SIZES if columns % size == 0), 0)
    if not block_size:
        raise CannotRun(f"OpenVINO takes no matrices of {columns} columns with int8 weights")
    num_blocks = columns // block_size
    values = numpy_helper.to_array(weights, str(folder)).T.astype(np.int16) + _ZERO
    by_row = numpy_helper.to_array(scales, str(folder))
    blocks = values.astype(np.uint8).reshape(rows, num_blocks, block_size)
    weights.CopyFrom(numpy_helper.from_array(blocks, weights.name))
    scales.CopyFrom(numpy_helper.from_array(np.repeat(by_row, num_blocks), scales.name))
    return helper.make_node(
        "MatMulNBits",
        [x, weights.name, scales.name],
        scaling.output,
        scaling.name,
        domain="com.microsoft",
        K=columns,
        N=rows,
        bits=8,
        block_size=block_size,
    )


def _needed(nodes: list[Any], wanted: Iterable[str]) -> list[Any]:
    """The nodes that lead to what is wanted, in their order."""
    names, kept = set(wanted), []
    for node in reversed(nodes):
        if names.intersection(node.output):
            kept.append(node)
            names.update(node.input)
    return kept[::-1]
