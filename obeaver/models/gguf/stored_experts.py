"""Experts stored beside the graph: as float32, or in blocks of 8 bits, with onnxruntime's own operators for them.

Their kernels for blocks of 8 bits round activations to integers too, and give a token the same bits beside whatever
other tokens it is computed; those for 4 bits do not (onnxruntime 1.32).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.quantize import BlockFormat, quantise
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.weights import Weights
from obeaver.models.gguf.writer import TensorWriter

_SMALLEST_BLOCK = 16


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
        model = self.weights.model
        outer, inner = model.hidden_size, model.ffn_size
        biases = self.weights.expert_biases(prefix)
        tensors: list[list[str]] = []
        size = self._block_size()
        for i, (which, read, shape) in enumerate(
            (
                ("gate_up", self.weights.gate_up, (2 * inner, outer)),
                ("down", self.weights.down, (outer, inner)),
            )
        ):
            stored = self._store(f"{name}.{which}", prefix, read, shape, size)
            bias = "" if biases is None else self.writer.add(f"{name}.{which}.bias", np.ascontiguousarray(biases[i]))
            tensors.append([*stored, bias])
        inputs = [x, scores, *tensors[0], *tensors[1]]
        while not inputs[-1]:
            inputs.pop()
        if size is None:
            return nodes.one(name, "MoE", *inputs, domain=MICROSOFT, **attributes)
        return nodes.one(name, "QMoE", *inputs, domain=MICROSOFT, expert_weight_bits=8, block_size=size, **attributes)

    def _block_size(self) -> int | None:
        """The largest block that rows of both kinds can be cut into; None is float32."""
        if self.form is None:
            return None
        size, widths = self.form.block_size, (self.weights.model.hidden_size, self.weights.model.ffn_size)
        while size >= _SMALLEST_BLOCK and any(width % size for width in widths):
            size //= 2
        return size if size >= _SMALLEST_BLOCK else None

    def _store(
        self,
        name: str,
        prefix: str,
        read: Callable[[str, int], FloatArray],
        shape: tuple[int, int],
        block_size: int | None,
    ) -> list[str]:
        scales: list[FloatArray] = []

        def chunks() -> Iterator[npt.NDArray[np.generic]]:
            for index in range(self.weights.num_experts):
                matrix = read(prefix, index)
                self.advance(matrix.size)
                if block_size is None:
                    yield matrix
                    continue
                quantised = quantise(matrix, BlockFormat(8, block_size, symmetric=True))
                scales.append(quantised.scales)
                yield quantised.packed.reshape(shape)

        dtype = np.float32 if block_size is None else np.uint8
        self.writer.add_chunks(name, dtype, (self.weights.num_experts, *shape), chunks())
        return [name] if block_size is None else [name, self.writer.add(f"{name}.scales", np.stack(scales))]
