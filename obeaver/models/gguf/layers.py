"""Layers of a decoder, in operators that ONNX Runtime's CPU provider has fast kernels for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from onnx import TensorProto

from obeaver.models.gguf.architecture import Architecture, Temperature
from obeaver.models.gguf.experts import mixture_of_experts
from obeaver.models.gguf.graph import MICROSOFT, FloatArray, LayerParameters, Nodes, ScalesOf
from obeaver.models.gguf.norms import Norms
from obeaver.models.gguf.rope import Rope, rope_tables

_ACTIVATIONS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "silu": ("QuickGelu", {"alpha": 1.0}),
    "gelu": ("FastGelu", {}),
    "exact gelu": ("Gelu", {}),
}
# A kernel's attribute is a float32: a scale this near to the usual one is the usual one.
_SAME_SCALE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """Tensors that every layer's attention reads.

    Attributes:
        last_index: Of each row's text, [batch] int32.
        total_length: The longest row's length, int32.
        positions: Of the tokens that are computed, [batch, tokens] int64; empty where nothing reads them.
        temperatures: What queries are multiplied by, [batch, tokens, 1]; empty for no such thing.
        tables: Cosines and sines of each rotary embedding.
        biases: Of attention's scores in a model that is not causal, by window: [1, 1, tokens, tokens].
    """

    last_index: str
    total_length: str
    positions: str
    temperatures: str
    tables: Mapping[Rope, tuple[str, str]]
    biases: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class DecoderLayers:
    """Appends layers to a graph.

    Args:
        scales_of: Scales of each layer's int8 cache; None for a cache of float32.
    """

    model: Architecture
    nodes: Nodes
    parameters: LayerParameters
    attention_inputs: AttentionInputs
    scales_of: ScalesOf | None = None

    def layer(self, index: int, x: str, residual: str, *, cache: int | None = None) -> tuple[str, str]:
        """One layer.

        Args:
            index: Which.
            x: The layer's input, normalised where the family has a norm there.
            residual: The same before the norm.
            cache: Number of its cache, where that is not its own.

        Returns:
            What the layer adds to the second tensor, and the residual before it.
        """
        family, norms, prefix = self.model.family, self.norms, f"blk.{index}"
        attended = norms.norm(self._name(prefix, family.after_attention), self._attention(index, x, cache))
        if family.parallel:
            return self.nodes.one(f"{prefix}.added", "Add", attended, self._feed_forward(prefix, x)), residual
        x, residual = norms.add_norm(self._name(prefix, family.before_ffn), attended, residual)
        if family.after_layer is not None:
            residual = x
        return norms.norm(self._name(prefix, family.after_ffn), self._feed_forward(prefix, x)), residual

    @property
    def norms(self) -> Norms:
        """The model's norms, in this graph."""
        return Norms(self.model, self.nodes, self.parameters)

    def first_norm(self, index: int) -> str | None:
        """Name of the norm before a layer, or after the last; None where there is none."""
        family = self.model.family
        if family.after_layer is not None:
            return f"blk.{index - 1}.{family.after_layer}" if index else None
        if index == self.model.num_layers:
            return "output_norm"
        return self._name(f"blk.{index}", family.before_attention) if index or family.first_norm else None

    def _name(self, prefix: str, norm: str | None) -> str | None:
        return None if norm is None else f"{prefix}.{norm}"

    def _attention(self, index: int, x: str, cache: int | None) -> str:
        prefix = f"blk.{index}"
        names = [f"{prefix}.attn_{which}" for which in "qkv"]
        packed = self.parameters.linear(self.nodes, f"{prefix}.qkv", x, names)
        qkv = self._prepared(index, packed) if self._splits_qkv else [packed, "", ""]
        attended = self.attend(index, qkv, index if cache is None else cache)
        return self.parameters.linear(self.nodes, f"{prefix}.attn_output", attended, [f"{prefix}.attn_output"])

    @property
    def _splits_qkv(self) -> bool:
        return self._has_qk_norm or bool(self.attention_inputs.temperatures)

    @property
    def _has_qk_norm(self) -> bool:
        return "attn_q_norm.weight" in self.model.vectors

    def _prepared(self, index: int, packed: str) -> list[str]:
        """Cut apart, with norms and rotation that the CPU provider's attention has not built in."""
        model, prefix = self.model, f"blk.{index}"
        sizes = self.parameters.array("qkv_sizes", np.array([model.q_size, model.kv_size, model.kv_size], np.int64))
        parts = self.nodes.add(f"{prefix}.split", "Split", [packed, sizes], outputs=3, axis=-1)
        if self._has_qk_norm:
            for i, which in enumerate("qk"):
                rotated = self._rotated(index, which, parts[i]) if self._rotates_before_norm else parts[i]
                parts[i] = self.norms.heads(f"{prefix}.attn_{which}_norm", rotated)
        if self.attention_inputs.temperatures:
            parts[0] = self.nodes.one(f"{prefix}.tempered", "Mul", parts[0], self.attention_inputs.temperatures)
        return parts

    @property
    def _rotates_before_norm(self) -> bool:
        return self.model.family.qk_norm == "rotated head"

    def _rotated(self, index: int, which: str, x: str) -> str:
        rope = self.model.layers[index].rope
        if rope is None:
            return x
        inputs = [x, self.attention_inputs.positions, *self.attention_inputs.tables[rope]]
        return self.nodes.one(f"blk.{index}.rotated_{which}", "RotaryEmbedding", *inputs, domain=MICROSOFT)

    def attend(self, index: int, qkv: Sequence[str], cache: int) -> str:
        """Attention of one layer.

        Args:
            index: Which.
            qkv: Queries, keys and values [batch, tokens, size], or all in one tensor and two empty names.
            cache: Number of the cache.
        """
        model, shared, kind = self.model, self.attention_inputs, self.model.layers[index]
        rope = None if self._rotates_before_norm else kind.rope
        past, present = self._caches("past_key_values", cache), self._caches("present", cache)
        tables = ["", ""] if rope is None else list(shared.tables[rope])
        sinks = self.parameters.vector(f"blk.{index}.attn_sinks.weight") if model.family.sinks else ""
        bias = shared.biases.get(kind.window or 0, "")
        inputs = [*qkv, *past, shared.last_index, shared.total_length, *tables, "", bias, sinks]
        attributes: dict[str, Any] = {"local_window_size": kind.window or -1} if model.causal else {"causal": 0}
        if self.scales_of is not None:
            scales = self.scales_of(index)
            key = self.parameters.array(f"blk.{index}.k_scale", scales.key)
            value = self.parameters.array(f"blk.{index}.v_scale", scales.value)
            inputs += [key, value]
            attributes |= {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        if not math.isclose(model.attention_scale, model.head_width**-0.5, rel_tol=_SAME_SCALE):
            attributes["scale"] = model.attention_scale
        if model.attention_cap:
            attributes["softcap"] = model.attention_cap
        while not inputs[-1]:
            inputs.pop()
        name = f"blk.{index}.attention"
        self.nodes.named(
            name,
            "GroupQueryAttention",
            inputs,
            [name, *present],
            domain=MICROSOFT,
            num_heads=model.num_heads,
            kv_num_heads=model.num_kv_heads,
            do_rotary=int(rope is not None),
            **attributes,
        )
        return name

    def _caches(self, prefix: str, number: int) -> list[str]:
        """Names of keys and values; empty where every token sees the whole text, so that none can be kept for later."""
        return [f"{prefix}.{number}.key", f"{prefix}.{number}.value"] if self.model.causal else ["", ""]

    def _feed_forward(self, prefix: str, x: str) -> str:
        model, nodes = self.model, self.nodes
        if model.experts is not None:
            return mixture_of_experts(model, model.experts, nodes, self.parameters, prefix, x)
        op, attributes = _ACTIVATIONS[model.family.activation]
        # As one product they would have to be cut apart, which copies a layer's largest tensor.
        names = [f"{prefix}.ffn_gate", f"{prefix}.ffn_up"] if model.family.gated else [f"{prefix}.ffn_up"]
        first, *second = (self.parameters.linear(nodes, name, x, [name]) for name in names)
        activated = nodes.one(f"{prefix}.{model.family.activation}", op, first, domain=MICROSOFT, **attributes)
        product = nodes.one(f"{prefix}.gated", "Mul", activated, *second) if second else activated
        return self.parameters.linear(nodes, f"{prefix}.ffn_down", product, [f"{prefix}.ffn_down"])


def attention_inputs(
    model: Architecture, nodes: Nodes, parameters: LayerParameters, tokens: str, ropes: Sequence[Rope] | None = None
) -> AttentionInputs:
    """Lengths and positions out of the attention mask, and tables.

    Args:
        model: The model.
        nodes: The graph.
        parameters: Its constants.
        tokens: A tensor [batch, tokens, ...] of the tokens that are computed.
        ropes: The rotary embeddings whose tables are needed; None is all of the model's.
    """
    one = parameters.array("one", np.array([1], np.int64))
    axis = parameters.array("mask_axis", np.array([1], np.int64))
    lengths = nodes.one("lengths", "ReduceSum", "attention_mask", axis, keepdims=0)
    last = nodes.one("last_index", "Cast", nodes.one("last_index.wide", "Sub", lengths, one), to=TensorProto.INT32)
    shape = nodes.one("mask_shape", "Shape", "attention_mask", start=1, end=2)
    scalar = parameters.array("scalar_shape", np.array([], np.int64))
    total = nodes.one(
        "total_length", "Reshape", nodes.one("total_length.narrow", "Cast", shape, to=TensorProto.INT32), scalar
    )
    rotates = model.family.qk_norm == "rotated head"
    positions = _positions(nodes, parameters, tokens, axis) if rotates or _tempers(model) else ""
    temperatures = ""
    if model.temperature is not None and _tempers(model):
        table = parameters.array("temperature_table", temperature_table(model.temperature, model.context_length))
        temperatures = nodes.one("temperatures", "Gather", table, positions, axis=0)
    tables = {
        rope: _tables(model, rope, parameters, f"{i or ''}")
        for i, rope in enumerate(model.ropes if ropes is None else ropes)
    }
    return AttentionInputs(last, total, positions, temperatures, tables)


def _tables(model: Architecture, rope: Rope, parameters: LayerParameters, number: str) -> tuple[str, str]:
    factors = None if rope.factors is None else parameters.values(rope.factors)
    cos, sin = rope_tables(rope, factors, model.context_length, model.head_width // 2)
    return parameters.array(f"cos{number}", cos), parameters.array(f"sin{number}", sin)


def _positions(nodes: Nodes, parameters: LayerParameters, tokens: str, axis: str) -> str:
    """Positions [batch, tokens] of the tokens that are computed, the last of a row's text."""
    zero, step = (parameters.array(name, np.array(n, np.int64)) for name, n in (("zero", 0), ("step", 1)))
    scalar = parameters.array("scalar_shape", np.array([], np.int64))
    ids = nodes.one("num_tokens.shape", "Shape", tokens, start=1, end=2)
    count = nodes.one("num_tokens", "Reshape", ids, scalar)
    places = nodes.one("places", "Range", zero, count, step)
    first = nodes.one("first_positions", "Sub", "lengths", count)
    return nodes.one("positions", "Add", nodes.one("first_positions.column", "Unsqueeze", first, axis), places)


def _tempers(model: Architecture) -> bool:
    """Whether any position's temperature is not 1."""
    return model.temperature is not None and model.context_length > model.temperature.step


def temperature_table(temperature: Temperature, num_positions: int) -> FloatArray:
    """What the query at each position is multiplied by: [num_positions, 1]."""
    steps = np.arange(num_positions) // temperature.step
    table: FloatArray = (1 + temperature.slope * np.log1p(steps)).astype(np.float32)
    return table[:, None]
