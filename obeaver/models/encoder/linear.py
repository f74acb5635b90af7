"""Matrices of an encoder's graph, in float32 or in int8.

int8 here is dynamic and *by row*: a matrix has one scale for each of its outputs, and each token's activations get a
scale of their own when the graph runs. The usual dynamic quantisation (`DynamicQuantizeLinear`) takes one scale for the
whole batch, so that a text's vector would depend on its neighbours, and one token with large activations would cost all
others their precision. Sums of integers are exact, so the batch's shape does not matter either, and weights have a
range in which no processor's instructions saturate: everybody computes the same numbers.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.writer import TensorWriter

FloatArray = npt.NDArray[np.float32]

_TOP: Final = np.float32(127)
# Before VNNI, processors add two products of bytes in 16 bits: 2 * 255 * 64 is the most that they can hold.
_WEIGHT_TOP: Final = np.float32(64)
_MIDDLE: Final = np.uint8(128)
# A row of zeros has to have a scale too.
_TINY: Final = np.float32(1e-20)


class Matrices(Protocol):
    """How matrices are stored and multiplied."""

    def multiply(self, nodes: Nodes, name: str, x: str, weight: FloatArray, *, exact: bool = False) -> str:
        """Append `x @ weight.T`: x is [tokens, in], weight [out, in]; in float32 where it has to be exact."""

    def look_up(self, nodes: Nodes, name: str, table: FloatArray, ids: str) -> str:
        """Append the lookup of rows of a table."""


class FloatMatrices:
    """float32."""

    def __init__(self, writer: TensorWriter) -> None:
        self._writer = writer

    def multiply(self, nodes: Nodes, name: str, x: str, weight: FloatArray, *, exact: bool = False) -> str:  # noqa: ARG002
        """See `Matrices.multiply`."""
        stored = self._writer.add(f"{name}.weight", np.ascontiguousarray(weight.T))
        return nodes.one(name, "MatMul", x, stored)

    def look_up(self, nodes: Nodes, name: str, table: FloatArray, ids: str) -> str:
        """See `Matrices.look_up`."""
        return nodes.one(name, "Gather", self._writer.add(f"{name}.weight", table), ids)


class ByteMatrices:
    """int8, by row."""

    def __init__(self, writer: TensorWriter) -> None:
        self._writer = writer
        self._exactly = FloatMatrices(writer)
        self._quantised: dict[str, tuple[str, str]] = {}
        self._axis = writer.add("int8.axis", np.array([-1], np.int64))
        self._top = writer.add("int8.top", np.array(_TOP))
        self._tiny = writer.add("int8.tiny", np.array(_TINY))
        self._one = writer.add("int8.one", np.array(1, np.float32))
        self._middle = writer.add("int8.middle", np.array(_MIDDLE))

    def multiply(self, nodes: Nodes, name: str, x: str, weight: FloatArray, *, exact: bool = False) -> str:
        """See `Matrices.multiply`."""
        if exact:
            return self._exactly.multiply(nodes, name, x, weight)
        stored, scales = quantise_rows(weight)
        matrix = self._writer.add(f"{name}.weight", np.ascontiguousarray(stored.T))
        columns = self._writer.add(f"{name}.scales", scales)
        rows, row_scales = self._quantise(nodes, x)
        product = nodes.one(
            f"{name}.product", "MatMulIntegerToFloat", rows, matrix, self._one, columns, self._middle, domain=MICROSOFT
        )
        return nodes.one(name, "Mul", product, row_scales)

    def look_up(self, nodes: Nodes, name: str, table: FloatArray, ids: str) -> str:
        """See `Matrices.look_up`."""
        stored, scales = quantise_rows(table)
        rows = nodes.one(f"{name}.rows", "Gather", self._writer.add(f"{name}.weight", stored), ids)
        row_scales = nodes.one(f"{name}.row_scales", "Gather", self._writer.add(f"{name}.scales", scales[:, None]), ids)
        return nodes.one(name, "Mul", nodes.one(f"{name}.cast", "Cast", rows, to=1), row_scales)

    def _quantise(self, nodes: Nodes, x: str) -> tuple[str, str]:
        """Rows as bytes around 128, and what one step of each row is worth; once for each tensor."""
        if x not in self._quantised:
            highest = nodes.one(f"{x}.high", "ReduceMax", nodes.one(f"{x}.abs", "Abs", x), self._axis, keepdims=1)
            step = nodes.one(f"{x}.step", "Div", nodes.one(f"{x}.range", "Max", highest, self._tiny), self._top)
            scaled = nodes.one(f"{x}.scaled", "Div", x, step)
            self._quantised[x] = nodes.one(f"{x}.bytes", "QuantizeLinear", scaled, self._one, self._middle), step
        return self._quantised[x]


MATRICES: Final[Mapping[str, Callable[[TensorWriter], Matrices]]] = {"fp32": FloatMatrices, "int8": ByteMatrices}


def quantise_rows(matrix: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Each row as whole numbers from -64 to 64, and what one step is worth in it: [rows, columns] and [rows]."""
    steps = np.maximum(np.abs(matrix).max(axis=1), _TINY) / _WEIGHT_TOP
    return np.rint(matrix / steps[:, None]).astype(np.int8), steps.astype(np.float32)
