"""The graph of a model that makes vectors: a GGUF family's layers over packed tokens.

    input_ids [rows, tokens] int64              attention_mask [rows, total tokens] int64
    token_type_ids [rows, tokens] int64         where the model tells texts of a pair apart
    last_hidden_state [rows, tokens, size]      zeros where there is padding

A causal model has its keys and values as inputs and outputs too, named as in a decoder's export (`gguf/decoder.py`): a
long text can be computed piece by piece. Padding stands at the end of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto

from obeaver.models.encoder.packing import Packing
from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.decoder import as_model, declare, declared_caches, scaled_embedding
from obeaver.models.gguf.graph import Nodes
from obeaver.models.gguf.layers import DecoderLayers, attention_inputs
from obeaver.models.gguf.norms import Norms
from obeaver.models.gguf.parameters import StoredParameters
from obeaver.models.gguf.tensors import EMBEDDING_NORM, POSITIONS, SEGMENTS
from obeaver.models.gguf.weights import Weights
from obeaver.models.gguf.writer import TensorWriter

HIDDEN: Final = "last_hidden_state"
# Finite, so that a row that sees nothing (padding, which nobody reads) computes no NaN.
_UNSEEN: Final = np.float32(-1e30)


@dataclass(slots=True, kw_only=True)
class _PackedLayers(DecoderLayers):
    """Layers over [1, tokens, size]; attention alone sees rows."""

    packing: Packing

    def attend(self, index: int, qkv: Sequence[str], cache: int) -> str:
        rows = [self._rows(x) for x in qkv]
        attended = DecoderLayers.attend(self, index, rows, cache)
        return self._lifted(self.packing.packed(attended, attended, self.model.q_size))

    def _rows(self, x: str) -> str:
        if not x:
            return ""
        flat = self.nodes.one(f"{x}.flat", "Squeeze", x, self.parameters.array("zero", np.array([0], np.int64)))
        return self.packing.rows(f"{x}.rows", flat)

    def _lifted(self, x: str) -> str:
        return self.nodes.one(f"{x}.lifted", "Unsqueeze", x, self.parameters.array("zero", np.array([0], np.int64)))


class EmbedderGraph:
    """Builds the graph of one model.

    Args:
        model: Its architecture.
        weights: Its weights.
        writer: Where they are stored.
        parameters: How.
    """

    def __init__(
        self, model: Architecture, weights: Weights, writer: TensorWriter, parameters: StoredParameters
    ) -> None:
        self._model = model
        self._weights = weights
        self._writer = writer
        self._parameters = parameters
        self._nodes = Nodes()

    def build(self) -> ModelProto:
        """The whole graph; its tensors are with the writer."""
        model, nodes = self._model, self._nodes
        shared = replace(attention_inputs(model, nodes, self._parameters, "input_ids"), biases=self._biases())
        packing = Packing(nodes, self._parameters.array, self._mask())
        layers = _PackedLayers(model, nodes, self._parameters, shared, packing=packing)
        residual = self._embedded(packing, layers.norms)
        x = layers.norms.norm(layers.first_norm(0), residual)
        for index in range(model.num_layers):
            added, residual = layers.layer(index, x, residual)
            x, residual = layers.norms.add_norm(layers.first_norm(index + 1), added, residual)
            if model.family.after_layer is not None:
                residual = x
        packing.masked_rows(HIDDEN, nodes.one("hidden", "Squeeze", x, self._zero()))
        return as_model(nodes, self._inputs(), self._outputs(), self._writer.tensors)

    def _mask(self) -> str:
        """Of the tokens that are computed, behind those of earlier pieces."""
        if not self._model.causal:
            return "attention_mask"
        nodes, array = self._nodes, self._parameters.array
        start = nodes.one("mask_start", "Neg", nodes.one("num_columns", "Shape", "input_ids", start=1, end=2))
        end = array("mask_end", np.array([np.iinfo(np.int64).max], np.int64))
        axis = array("mask_axis", np.array([1], np.int64))
        return nodes.one("new_mask", "Slice", "attention_mask", start, end, axis)

    def _embedded(self, packing: Packing, norms: Norms) -> str:
        nodes = self._nodes
        ids = nodes.one("packed_ids", "Unsqueeze", packing.packed_input("input_ids"), self._zero())
        x = scaled_embedding(self._model, nodes, self._parameters, self._parameters.embed(nodes, ids))
        if self._weights.has(f"{SEGMENTS}.weight"):
            types = packing.packed_input("token_type_ids") if self._tells_texts_apart() else self._zero()
            x = nodes.one("typed", "Add", x, nodes.one("types", "Gather", self._table(SEGMENTS), types))
        if self._weights.has(f"{POSITIONS}.weight"):
            places = nodes.one("place", "Gather", self._table(POSITIONS), packing.positions)
            x = nodes.one("placed", "Add", x, places)
        return norms.norm(EMBEDDING_NORM if self._weights.has(f"{EMBEDDING_NORM}.weight") else None, x)

    def _tells_texts_apart(self) -> bool:
        info = self._weights.file.tensors.get(f"{SEGMENTS}.weight")
        return info is not None and info.shape[0] > 1

    def _table(self, name: str) -> str:
        return self._parameters.array(f"{name}.weight", self._weights.file.read(f"{name}.weight"))

    def _biases(self) -> Mapping[int, str]:
        """What hides tokens beyond a window to both sides."""
        windows = {kind.window for kind in self._model.layers if kind.window} if not self._model.causal else set()
        if not windows:
            return {}
        nodes, array = self._nodes, self._parameters.array
        zero, step = array("first_place", np.array(0, np.int64)), array("next_place", np.array(1, np.int64))
        columns = nodes.one("num_columns", "Shape", "input_ids", start=1, end=2)
        count = nodes.one("num_places", "Squeeze", columns, self._zero())
        places = nodes.one("all_places", "Range", zero, count, step)
        down = nodes.one("places_down", "Unsqueeze", places, array("down", np.array([1], np.int64)))
        distance = nodes.one("distance", "Abs", nodes.one("difference", "Sub", down, places))
        seen, unseen = array("seen", np.array(0, np.float32)), array("unseen", np.array(_UNSEEN))
        axes = array("bias_axes", np.array([0, 1], np.int64))
        biases = {}
        for window in sorted(windows):
            reach = array(f"reach_{window}", np.array(window // 2, np.int64))
            is_far = nodes.one(f"far_{window}", "Greater", distance, reach)
            bias = nodes.one(f"bias_{window}.square", "Where", is_far, unseen, seen)
            biases[window] = nodes.one(f"bias_{window}", "Unsqueeze", bias, axes)
        return biases

    def _zero(self) -> str:
        return self._parameters.array("zero", np.array([0], np.int64))

    def _inputs(self) -> list[ValueInfoProto]:
        inputs = [
            declare("input_ids", TensorProto.INT64, ["batch", "tokens"]),
            declare("attention_mask", TensorProto.INT64, ["batch", "total_tokens"]),
        ]
        if self._tells_texts_apart():
            inputs.append(declare("token_type_ids", TensorProto.INT64, ["batch", "tokens"]))
        if self._model.causal:
            inputs += declared_caches(self._model, "past_key_values", TensorProto.FLOAT, "past_tokens")
        return inputs

    def _outputs(self) -> list[ValueInfoProto]:
        outputs = [declare(HIDDEN, TensorProto.FLOAT, ["batch", "tokens", self._model.hidden_size])]
        if self._model.causal:
            outputs += declared_caches(self._model, "present", TensorProto.FLOAT, "total_tokens")
        return outputs
