"""Tokens of a padded batch packed one behind the other, and rows again.

Most of a model looks at each token by itself, so padding is computed for nothing: packed, a batch of texts of 8 to 256
tokens takes less than half the time. Attention alone needs rows. Copying there and back costs a few megabytes.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from obeaver.models.gguf.graph import Nodes

Constant = Callable[[str, npt.NDArray[np.generic]], str]
"""Gives a graph a constant; returns the name of its tensor."""


class Packing:
    """How the tokens of a batch lie packed and unfolded.

    Attributes:
        tokens: [tokens]: where in the unfolded rows, one behind the other, each packed token is.
        places: [rows, longest]: which packed token stands there; any, where there is padding.
        mask: [rows, longest], int32.
        positions: [tokens]: of each token in its row.

    Args:
        nodes: The graph.
        constant: Its constants.
        mask: A tensor [rows, longest] int64 whose ones stand at the beginning of each row.
    """

    def __init__(self, nodes: Nodes, constant: Constant, mask: str) -> None:
        self._nodes = nodes
        self._constant = constant
        self._flat_shape = constant("flat_shape", np.array([-1], np.int64))
        flat_mask = nodes.one("flat_mask", "Reshape", mask, self._flat_shape)
        self.tokens = nodes.one("tokens", "Reshape", nodes.one("marked", "NonZero", flat_mask), self._flat_shape)
        one = constant("one", np.array([1], np.int64))
        zero = constant("zero", np.array([0], np.int64))
        count = nodes.one("count", "CumSum", flat_mask, zero)
        order = nodes.one("order", "Max", nodes.one("count_before", "Sub", count, one), zero)
        width = nodes.one("width", "Shape", mask, start=1, end=2)
        self.places = nodes.one("places", "Reshape", order, nodes.one("shape", "Shape", mask))
        self.mask = nodes.one("mask", "Cast", mask, to=TensorProto.INT32)
        self.positions = nodes.one("positions", "Mod", self.tokens, width)

    def packed_input(self, name: str) -> str:
        """An input [rows, longest] of the graph as [tokens]."""
        flat = self._nodes.one(f"{name}.flat", "Reshape", name, self._flat_shape)
        return self._nodes.one(f"{name}.packed", "Gather", flat, self.tokens)

    def rows(self, name: str, x: str) -> str:
        """[tokens, size] as [rows, longest, size]; anything, where there is padding."""
        return self._nodes.one(name, "Gather", x, self.places)

    def packed(self, name: str, rows: str, size: int) -> str:
        """[rows, longest, size] as [tokens, size]."""
        shape = self._constant(f"joined_{size}", np.array([-1, size], np.int64))
        joined = self._nodes.one(f"{name}.joined", "Reshape", rows, shape)
        return self._nodes.one(f"{name}.packed", "Gather", joined, self.tokens)

    def masked_rows(self, name: str, x: str) -> str:
        """[tokens, size] as [rows, longest, size], zeros where there is padding."""
        axis = self._constant("last_axis", np.array([-1], np.int64))
        mask = self._nodes.one("mask_3d", "Unsqueeze", self.mask, axis)
        mask = self._nodes.one("float_mask", "Cast", mask, to=TensorProto.FLOAT)
        return self._nodes.one(name, "Mul", self.rows(f"{name}.rows", x), mask)
