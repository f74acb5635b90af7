"""Layers of a decoder, in operators that ONNX Runtime's CPU provider has fast kernels for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from obeaver.models.gguf.architecture import Architecture

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
        """A weight of one dimension, such as a norm's."""

    def values(self, name: str) -> FloatArray:
        """The numbers of a weight of one dimension."""

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """Multiply x by the transposed rows of the named matrices, stacked; biases included."""


class Parameters(LayerParameters, Protocol):
    """Where all weights of a model come from."""

    def embed(self, nodes: Nodes, ids: str) -> str:
        """Look up the embeddings of token ids."""

    def head(self, nodes: Nodes, x: str) -> str:
        """Logits of hidden states; the output is named `logits`."""


@dataclass(frozen=True, slots=True)
class KvScales:
    """Static scales of one layer's int8 keys and values, each [1, num_kv_heads, 1, head_dim]."""

    key: FloatArray
    value: FloatArray


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """Tensors that every layer's attention reads."""

    last_index: str
    total_length: str
    cos: str
    sin: str


def rms_norm(model: Architecture, nodes: Nodes, parameters: LayerParameters, name: str, x: str) -> str:
    """RMSNorm over the last dimension, with the weight of the same name."""
    weight = parameters.vector(f"{name}.weight")
    return nodes.one(name, "SimplifiedLayerNormalization", x, weight, axis=-1, epsilon=model.norm_epsilon, stash_type=1)


@dataclass(slots=True)
class DecoderLayers:
    """Appends layers to a graph.

    Args:
        kv_scales: One entry a layer for an int8 cache; empty for float32.
    """

    model: Architecture
    nodes: Nodes
    parameters: LayerParameters
    attention_inputs: AttentionInputs
    kv_scales: Sequence[KvScales] = field(default_factory=tuple)

    def layer(self, index: int, x: str, residual: str) -> tuple[str, str]:
        """One layer.

        Args:
            index: Which.
            x: The layer's normalised input.
            residual: The same before the norm.

        Returns:
            What the layer adds to the second tensor, and the residual before it.
        """
        attended = self._attention(index, x)
        x, residual = self.add_norm(f"blk.{index}.ffn_norm", attended, residual)
        return self._feed_forward(index, x), residual

    def add_norm(self, name: str, x: str, residual: str) -> tuple[str, str]:
        """RMSNorm of a sum; returns it and the sum."""
        inputs = [x, residual, self.parameters.vector(f"{name}.weight")]
        outputs = [name, "", "", f"{name}.sum"]
        self.nodes.named(
            name, "SkipSimplifiedLayerNormalization", inputs, outputs, domain=MICROSOFT, epsilon=self.model.norm_epsilon
        )
        return name, f"{name}.sum"

    def _attention(self, index: int, x: str) -> str:
        prefix = f"blk.{index}"
        names = [f"{prefix}.attn_{which}" for which in "qkv"]
        packed = self.parameters.linear(self.nodes, f"{prefix}.qkv", x, names)
        qkv = self._normed_qkv(prefix, packed) if self.model.qk_norm else [packed, "", ""]
        attended = self._group_query_attention(index, qkv)
        return self.parameters.linear(self.nodes, f"{prefix}.attn_output", attended, [f"{prefix}.attn_output"])

    def _normed_qkv(self, prefix: str, packed: str) -> list[str]:
        """Cut apart, and the per-head norms; the CPU provider's attention has no such norm built in."""
        model = self.model
        sizes = self.parameters.array("qkv_sizes", np.array([model.q_size, model.kv_size, model.kv_size], np.int64))
        heads = self.parameters.array("split_heads", np.array([0, 0, -1, model.head_dim], np.int64))
        joined = self.parameters.array("join_heads", np.array([0, 0, -1], np.int64))
        parts = self.nodes.add(f"{prefix}.split", "Split", [packed, sizes], outputs=3, axis=-1)
        for i, which in enumerate("qk"):
            name = f"{prefix}.attn_{which}_norm"
            by_head = self.nodes.one(f"{name}.heads", "Reshape", parts[i], heads)
            parts[i] = self.nodes.one(
                f"{name}.joined", "Reshape", rms_norm(self.model, self.nodes, self.parameters, name, by_head), joined
            )
        return parts

    def _group_query_attention(self, index: int, qkv: Sequence[str]) -> str:
        shared = self.attention_inputs
        past = [f"past_key_values.{index}.key", f"past_key_values.{index}.value"]
        inputs = [*qkv, *past, shared.last_index, shared.total_length, shared.cos, shared.sin]
        attributes: dict[str, Any] = {}
        if self.kv_scales:
            scales = self.kv_scales[index]
            key = self.parameters.array(f"blk.{index}.k_scale", scales.key)
            value = self.parameters.array(f"blk.{index}.v_scale", scales.value)
            inputs += ["", "", "", key, value]
            attributes = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        name = f"blk.{index}.attention"
        self.nodes.named(
            name,
            "GroupQueryAttention",
            inputs,
            [name, f"present.{index}.key", f"present.{index}.value"],
            domain=MICROSOFT,
            num_heads=self.model.num_heads,
            kv_num_heads=self.model.num_kv_heads,
            do_rotary=1,
            local_window_size=self.model.window or -1,
            **attributes,
        )
        return name

    def _feed_forward(self, index: int, x: str) -> str:
        prefix = f"blk.{index}"
        # As one product they would have to be cut apart, which copies a layer's largest tensor.
        gate, up = (
            self.parameters.linear(self.nodes, name, x, [name]) for name in (f"{prefix}.ffn_gate", f"{prefix}.ffn_up")
        )
        gate = self.nodes.one(f"{prefix}.silu", "QuickGelu", gate, domain=MICROSOFT, alpha=1.0)
        product = self.nodes.one(f"{prefix}.gated", "Mul", gate, up)
        return self.parameters.linear(self.nodes, f"{prefix}.ffn_down", product, [f"{prefix}.ffn_down"])


def attention_inputs(model: Architecture, nodes: Nodes, parameters: LayerParameters) -> AttentionInputs:
    """Lengths out of the attention mask: each row's last index, and the longest row's length."""
    one = parameters.array("one", np.array([1], np.int64))
    axis = parameters.array("mask_axis", np.array([1], np.int64))
    lengths = nodes.one("lengths", "ReduceSum", "attention_mask", axis, keepdims=0)
    last = nodes.one("last_index", "Cast", nodes.one("last_index.wide", "Sub", lengths, one), to=TensorProto.INT32)
    shape = nodes.one("mask_shape", "Shape", "attention_mask", start=1, end=2)
    scalar = parameters.array("scalar_shape", np.array([], np.int64))
    total = nodes.one(
        "total_length", "Reshape", nodes.one("total_length.narrow", "Cast", shape, to=TensorProto.INT32), scalar
    )
    factors = None if model.rope.factors is None else parameters.values(model.rope.factors)
    cos, sin = rope_tables(model, factors)
    return AttentionInputs(last, total, parameters.array("cos", cos), parameters.array("sin", sin))


def rope_tables(model: Architecture, factors: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines of every position's angles, each [context_length, head_dim / 2]."""
    exponents = np.arange(0, model.head_dim, 2, dtype=np.float64) / model.head_dim
    frequencies = model.rope.position_scale / model.rope.base**exponents
    if factors is not None:
        frequencies = frequencies / factors
    angles = np.outer(np.arange(model.context_length, dtype=np.float64), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
