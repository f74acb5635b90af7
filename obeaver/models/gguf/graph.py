"""The parts that a decoder's graph is put together from: nodes, and where weights come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

MICROSOFT: Final = "com.microsoft"
LOGITS: Final = "logits"

FloatArray = npt.NDArray[np.float32]


class Nodes:
    """A graph's nodes, in the order they are computed."""

    def __init__(self) -> None:
        self.protos: list[NodeProto] = []

    def add(
        self, name: str, op: str, inputs: Sequence[str], *, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Append a node; returns the names of its outputs, `name` alone or `name.0` and so on."""
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.named(name, op, inputs, names, domain=domain, **attributes)
        return names

    def one(self, name: str, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node of one output; returns its name."""
        return self.add(name, op, inputs, domain=domain, **attributes)[0]

    def named(
        self,
        name: str,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> None:
        """Append a node whose outputs have names already."""
        self.protos.append(helper.make_node(op, list(inputs), list(outputs), name=name, domain=domain, **attributes))


class LayerParameters(Protocol):
    """Where the weights of layers come from: stored in a format, or fed when the graph runs."""

    def array(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """A constant; returns the name of its tensor."""

    def vector(self, name: str) -> str:
        """A weight of one dimension, such as a norm's; an empty text where the model has none of that name."""

    def values(self, name: str) -> FloatArray:
        """The numbers of a weight of one dimension."""

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """Multiply x by the transposed rows of the named matrices, stacked; biases included."""

    def experts(self, nodes: Nodes, name: str, x: str, scores: str, prefix: str, attributes: Mapping[str, Any]) -> str:
        """The output of one expert for each row.

        Args:
            nodes: The graph.
            name: Of the result.
            x: [rows, hidden_size].
            scores: Of all experts, [rows, experts]; the highest is computed.
            prefix: Of the layer's parts, such as `blk.3`.
            attributes: Of onnxruntime's MoE.
        """

    def scores(self, nodes: Nodes, name: str, x: str, part: str) -> str:
        """As `linear` with a small matrix in full precision, whatever the format of others."""


class HeadParameters(LayerParameters, Protocol):
    """Where the weights of layers and of the head come from."""

    def head(self, nodes: Nodes, name: str, x: str) -> str:
        """Logits of hidden states, as a tensor of this name."""


class Parameters(HeadParameters, Protocol):
    """Where all weights of a model come from."""

    def embed(self, nodes: Nodes, ids: str) -> str:
        """Look up the embeddings of token ids."""


@dataclass(frozen=True, slots=True)
class KvScales:
    """Static scales of one layer's int8 keys and values, each [1, num_kv_heads, 1, head_dim]."""

    key: FloatArray
    value: FloatArray


ScalesOf = Callable[[int], KvScales]
"""Gives the scales of a layer."""
