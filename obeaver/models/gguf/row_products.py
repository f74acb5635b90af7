"""Products with rows of int8, in operators of onnxruntime: inputs are rounded to int8 as well, token by token."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.rotation import block_size, hadamard

# The kernels want activations unsigned: 128 stands for 0, and 1 to 255 for a token's range.
_ACTIVATION_ZERO: Final = 128
_ACTIVATION_TOP: Final = 127


class RowProducts:
    """Adds them to a graph; an input of several products is rounded once.

    Args:
        array: Stores a constant, once, and gives its name.
    """

    def __init__(self, array: Callable[[str, npt.NDArray[np.generic]], str]) -> None:
        self._array = array
        self._rounded: dict[str, tuple[str, str]] = {}

    def zeros(self, nodes: Nodes, name: str, x: str) -> str:
        """Zero points for the tokens of x: [batch, tokens, 1]."""
        one = self._array("one", np.array([1], np.int64))
        tokens = nodes.one(f"{name}.tokens", "Shape", x, start=0, end=2)
        shape = nodes.one(f"{name}.shape", "Concat", tokens, one, axis=0)
        zero = numpy_helper.from_array(np.array([_ACTIVATION_ZERO], np.uint8))
        return nodes.one(name, "ConstantOfShape", shape, value=zero)

    def product(
        self,
        nodes: Nodes,
        name: str,
        x: str,
        matrix: Sequence[str],
        width: int,
        zeros: str,
        *,
        rotated: bool,
        bias: str = "",
    ) -> str:
        """Round x to integers token by token, multiply, and scale back.

        The bias comes last, by itself: a kernel that adds it on the way may round differently for one token and many.

        Args:
            nodes: The graph.
            name: Of the result.
            x: [batch, tokens, width].
            matrix: Names of its integers [width, rows] and scales [rows].
            width: Columns of the matrix.
            zeros: What `zeros` gave for these tokens.
            rotated: Whether the matrix's columns are turned, so that x has to be.
            bias: Name of what is added [rows], if anything is.
        """
        one = self._array("unscaled", np.array(1, np.float32))
        zero = self._array("activation_zero", np.array(_ACTIVATION_ZERO, np.uint8))
        if x not in self._rounded:
            turned = self._rotate(nodes, x, width) if rotated else x
            self._rounded[x] = self._round(nodes, turned, width, zeros)
        rounded, scale = self._rounded[x]
        inputs = [rounded, matrix[0], one, matrix[1], zero]
        product = nodes.one(f"{name}.product", "MatMulIntegerToFloat", *inputs, domain=MICROSOFT)
        if not bias:
            return nodes.one(name, "Mul", product, scale)
        return nodes.one(name, "Add", nodes.one(f"{name}.unbiased", "Mul", product, scale), bias)

    def _rotate(self, nodes: Nodes, x: str, width: int) -> str:
        """Turn x [batch, tokens, width] as the matrix's columns were turned."""
        size = block_size(width)
        rotation = self._array(f"rotation.{size}", hadamard(size))
        in_blocks = self._array(f"blocks_of.{width}", np.array([0, 0, width // size, size], np.int64))
        whole = self._array(f"whole.{width}", np.array([0, 0, width], np.int64))
        turned = nodes.one(f"{x}.turned", "MatMul", nodes.one(f"{x}.blocks", "Reshape", x, in_blocks), rotation)
        return nodes.one(f"{x}.rotated", "Reshape", turned, whole)

    def _round(self, nodes: Nodes, x: str, width: int, zeros: str) -> tuple[str, str]:
        """Round x [batch, tokens, width] to integers; the names of these and of each token's scale."""
        axis = self._array("last_axis", np.array([-1], np.int64))
        unit = self._array("activation_unit", np.array(1 / _ACTIVATION_TOP, np.float32))
        highest = nodes.one(f"{x}.highest", "ReduceMax", nodes.one(f"{x}.size", "Abs", x), axis, keepdims=1)
        scale = nodes.one(f"{x}.scale", "Mul", highest, unit)
        return nodes.one(f"{x}.rounded", "QuantizeLinear", x, scale, zeros, axis=2, block_size=width), scale
