"""The whole decoder, from token ids to logits, as one ONNX model.

Inputs and outputs are named as onnxruntime-genai's own exports name them, so that it loads the folder too:

    input_ids [batch, tokens] int64             attention_mask [batch, total tokens] int64
    past_key_values.N.key / .value              [batch, num_kv_heads, past tokens, head_dim]
    present.N.key / .value                      the same with the new tokens; may share the past's buffer
    logits [batch, tokens, vocab_size]

One more input is optional: `logits_from` [1] int64, the first position whose logits are wanted (0, its default, is all;
-1 is the last alone).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.graph import LOGITS, MICROSOFT, HeadParameters, LayerParameters, Nodes, Parameters, ScalesOf
from obeaver.models.gguf.layers import DecoderLayers, attention_inputs

PRODUCER: Final = "obeaver"
_OPSETS: Final = {"": 21, MICROSOFT: 1}
# The first to go with opset 21; initializers may be overridden by an input of their name since version 4.
_IR_VERSION: Final = 10


def decoder_graph(model: Architecture, parameters: Parameters, scales_of: ScalesOf | None = None) -> Nodes:
    """Nodes of the whole decoder, from token ids to logits."""
    nodes = Nodes()
    inputs = attention_inputs(model, nodes, parameters, "input_ids")
    layers = DecoderLayers(model, nodes, parameters, inputs, scales_of)
    residual = scaled_embedding(model, nodes, parameters, parameters.embed(nodes, "input_ids"))
    x = layers.norms.norm(layers.first_norm(0), residual)
    for index in range(model.num_layers):
        added, residual = layers.layer(index, x, residual)
        x, residual = layers.norms.add_norm(layers.first_norm(index + 1), added, residual)
    last = parameters.array("positions_end", np.array([np.iinfo(np.int64).max], np.int64))
    axis = parameters.array("positions_axis", np.array([1], np.int64))
    head(model, nodes, parameters, nodes.one("wanted", "Slice", x, "logits_from", last, axis))
    return nodes


def scaled_embedding(model: Architecture, nodes: Nodes, parameters: LayerParameters, embedded: str) -> str:
    """Embeddings times the family's factor: as a step of its own, since a tied head reads the same table without it."""
    if model.embedding_scale == 1:
        return embedded
    scale = parameters.array("embedding_scale", np.array(model.embedding_scale, np.float32))
    return nodes.one("scaled_embedding", "Mul", embedded, scale)


def head(model: Architecture, nodes: Nodes, parameters: HeadParameters, x: str) -> str:
    """Logits of normalised hidden states, capped where the model caps them."""
    if not model.logit_cap:
        return parameters.head(nodes, LOGITS, x)
    cap = parameters.array("logit_cap", np.array(model.logit_cap, np.float32))
    share = nodes.one("logits.share", "Div", parameters.head(nodes, "logits.uncapped", x), cap)
    return nodes.one(LOGITS, "Mul", nodes.one("logits.tanh", "Tanh", share), cap)


def decoder_model(
    model: Architecture, nodes: Nodes, tensors: Sequence[TensorProto], *, quantised_kv: bool
) -> ModelProto:
    """The whole ONNX model: nodes, initializers, and the declared inputs and outputs."""
    cache = TensorProto.INT8 if quantised_kv else TensorProto.FLOAT
    inputs = [
        declare("input_ids", TensorProto.INT64, ["batch", "tokens"]),
        declare("attention_mask", TensorProto.INT64, ["batch", "total_tokens"]),
        *declared_caches(model, "past_key_values", cache, "past_tokens"),
        declare("logits_from", TensorProto.INT64, [1]),
    ]
    outputs = [
        declare(LOGITS, TensorProto.FLOAT, ["batch", "wanted_tokens", model.vocab_size]),
        *declared_caches(model, "present", cache, "total_tokens"),
    ]
    default = helper.make_tensor("logits_from", TensorProto.INT64, [1], [0])
    return as_model(nodes, inputs, outputs, [*tensors, default])


def as_model(
    nodes: Nodes, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto], tensors: Sequence[TensorProto]
) -> ModelProto:
    """An ONNX model of a graph's parts."""
    graph = helper.make_graph(nodes.protos, "decoder", inputs, outputs, initializer=tensors)
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    return helper.make_model(graph, producer_name=PRODUCER, ir_version=_IR_VERSION, opset_imports=opsets)


def declared_caches(model: Architecture, prefix: str, kind: int, length: str) -> list[ValueInfoProto]:
    """Keys and values of all layers as inputs or outputs of a graph."""
    shape: list[int | str] = ["batch", model.num_kv_heads, length, model.head_width]
    names = [f"{prefix}.{index}.{which}" for index in range(model.num_layers) for which in ("key", "value")]
    return [declare(name, kind, shape) for name in names]


def declare(name: str, kind: int, shape: Sequence[int | str]) -> ValueInfoProto:
    """An input or output of a graph."""
    return helper.make_tensor_value_info(name, kind, shape)
