"""Experts stored beside the graph: as float32 or in blocks, with onnxruntime's own operators for them.

The kernels for blocks are those of MatMulNBits, and round activations to integers too.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.quantize import INT8_ACTIVATIONS, BlockFormat, quantise
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.weights import Weights
from obeaver.models.gguf.writer import TensorWriter

_SMALLEST_BLOCK = 16
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoredExperts:
    """Writes the experts of a layer, and appends the node that computes them.

    Attributes:
        weights: Where they come from.
        writer: Where they go.
        form: How they are stored; None is float32.
        advance: Told how many weights were written.
    """

    weights: Weights
    writer: TensorWriter
    form: BlockFormat | None
    advance: Callable[[int], None]

    def add(self, nodes: Nodes, name: str, x: str, scores: str, prefix: str, attributes: Mapping[str, Any]) -> str:
        """See `graph.LayerParameters.experts`."""
        form = self._divided()
        inner, outer = self.weights.model.ffn_size, self.weights.model.hidden_size
        gate_up = self._store(f"{name}.gate_up", partial(self.weights.gate_up, prefix), (2 * inner, outer), form)
        down = self._store(f"{name}.down", partial(self.weights.down, prefix), (outer, inner), form)
        biases = self._biases(name, prefix)
        if form is None:
            inputs = [x, scores, *gate_up, biases[0], *down, biases[1]]
            return nodes.one(name, "MoE", *_without_gaps(inputs), domain=MICROSOFT, **attributes)
        zeros = [*gate_up[2:], *down[2:]]
        inputs = [x, scores, *gate_up[:2], biases[0], *down[:2], biases[1], "", "", "", *zeros]
        return nodes.one(
            name,
            "QMoE",
            *_without_gaps(inputs),
            domain=MICROSOFT,
            expert_weight_bits=form.bits,
            block_size=form.block_size,
            accuracy_level=INT8_ACTIVATIONS,
            **attributes,
        )

    def _divided(self) -> BlockFormat | None:
        """The format, with the largest blocks that rows of both kinds can be cut into; None is float32."""
        if self.form is None:
            return None
        size, widths = self.form.block_size, (self.weights.model.hidden_size, self.weights.model.ffn_size)
        while size >= _SMALLEST_BLOCK and any(width % size for width in widths):
            size //= 2
        return replace(self.form, block_size=size) if size >= _SMALLEST_BLOCK else None

    def _biases(self, name: str, prefix: str) -> list[str]:
        biases = self.weights.expert_biases(prefix)
        if biases is None:
            return ["", ""]
        names = (f"{name}.gate_up.bias", f"{name}.down.bias")
        return [self.writer.add(*pair) for pair in zip(names, map(np.ascontiguousarray, biases), strict=True)]

    def _store(
        self, name: str, read: Callable[[int], FloatArray], shape: tuple[int, int], form: BlockFormat | None
    ) -> list[str]:
        """Store one matrix of each expert; the names of values, scales and, if any, zero points."""
        count = self.weights.num_experts
        if form is None:
            matrices = self._counted(read, math.prod(shape))
            return [self.writer.add_chunks(name, np.float32, (count, *shape), matrices)]
        others: list[tuple[npt.NDArray[np.generic], ...]] = []

        def packed() -> Iterator[npt.NDArray[np.uint8]]:
            for pieces in self._counted(lambda index: quantise(read(index), form), math.prod(shape)):
                others.append(tuple(piece for piece in pieces[1:] if piece is not None))
                yield pieces.packed

        stored = self.writer.add_chunks(name, np.uint8, (count, shape[0], shape[1] * form.bits // 8), packed())
        kinds = zip((f"{name}.scales", f"{name}.zero_points"), zip(*others, strict=True), strict=False)
        return [stored, *(self.writer.add(kind, np.stack(pieces)) for kind, pieces in kinds)]

    def _counted(self, of_expert: Callable[[int], Result], size: int) -> Iterator[Result]:
        """Of each expert; several are worked on at once. An expert has so many weights."""
        for result in self.weights.workers.map(of_expert, range(self.weights.num_experts)):
            yield result
            self.advance(size)


def _without_gaps(inputs: list[str]) -> list[str]:
    """Without the empty names at the end."""
    while not inputs[-1]:
        inputs = inputs[:-1]
    return inputs
