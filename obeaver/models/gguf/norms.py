"""Norms of hidden states and of heads."""

from dataclasses import dataclass

import numpy as np

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.graph import MICROSOFT, LayerParameters, Nodes


@dataclass(frozen=True, slots=True)
class Norms:
    """Appends a model's norms, RMSNorm or LayerNorm, to a graph."""

    model: Architecture
    nodes: Nodes
    parameters: LayerParameters

    def norm(self, name: str | None, x: str) -> str:
        """A norm over the last dimension, with the weights of this name; x itself where there is no such norm."""
        if name is None:
            return x
        weight, bias = self._weights(name)
        if self.model.family.norm == "rms":
            return self._rms(name, x, weight, self.model.norm_epsilon)
        inputs = [x, weight, bias] if bias else [x, weight]
        return self.nodes.one(name, "LayerNormalization", *inputs, axis=-1, epsilon=self.model.norm_epsilon)

    def add_norm(self, name: str | None, x: str, residual: str) -> tuple[str, str]:
        """The norm of a sum, and the sum; both are the sum where there is no such norm."""
        if name is None:
            total = self.nodes.one(f"{x}.sum", "Add", x, residual)
            return total, total
        weight, bias = self._weights(name)
        op = "SkipSimplifiedLayerNormalization" if self.model.family.norm == "rms" else "SkipLayerNormalization"
        self.nodes.named(
            name,
            op,
            [x, residual, weight, bias] if bias else [x, residual, weight],
            [name, "", "", f"{name}.sum"],
            domain=MICROSOFT,
            epsilon=self.model.norm_epsilon,
        )
        return name, f"{name}.sum"

    def heads(self, name: str, x: str) -> str:
        """The norm of queries or keys [batch, tokens, heads * head_width], as the family has it."""
        model, weight = self.model, self.parameters.vector(f"{name}.weight")
        # Zeros beside a head make its mean square smaller by this share.
        epsilon = model.norm_epsilon * model.head_dim / model.head_width
        if model.family.qk_norm == "all heads":
            return self._rms(name, x, weight, epsilon)
        by_head = self.nodes.one(
            f"{name}.heads", "Reshape", x, self._shape("split_heads", [0, 0, -1, model.head_width])
        )
        joined = self._shape("join_heads", [0, 0, -1])
        if model.family.norm == "rms":
            return self.nodes.one(f"{name}.joined", "Reshape", self._rms(name, by_head, weight, epsilon), joined)
        ones = self.parameters.array("unscaled_head", np.ones(model.head_width, np.float32))
        normed = self.nodes.one(f"{name}.unscaled", "LayerNormalization", by_head, ones, axis=-1, epsilon=epsilon)
        return self.nodes.one(name, "Mul", self.nodes.one(f"{name}.joined", "Reshape", normed, joined), weight)

    def _rms(self, name: str, x: str, weight: str, epsilon: float) -> str:
        return self.nodes.one(name, "SimplifiedLayerNormalization", x, weight, axis=-1, epsilon=epsilon, stash_type=1)

    def _weights(self, name: str) -> tuple[str, str]:
        """The tensors of weight and bias; the second is empty where the model has none."""
        return self.parameters.vector(f"{name}.weight"), self.parameters.vector(f"{name}.bias")

    def _shape(self, name: str, sizes: list[int]) -> str:
        return self.parameters.array(name, np.array(sizes, np.int64))
