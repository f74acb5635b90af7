"""The graph of a BERT-type encoder, in operators that ONNX Runtime's CPU provider has fast kernels for.

It takes padded rows as every export does, but computes none of the padding: right after the inputs the tokens that the
mask marks are packed one behind the other (`packing.py`), and everything but attention works on these. Each token's
numbers are computed as they would be alone.
"""

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper

from obeaver.errors import ModelError
from obeaver.models.encoder.architecture import EncoderArchitecture
from obeaver.models.encoder.linear import FloatArray, Matrices
from obeaver.models.encoder.packing import Packing
from obeaver.models.encoder.safetensors import Tensors
from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.writer import TensorWriter

_OPSET, _IR_VERSION = 20, 10
_EMBEDDINGS = "embeddings"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
HIDDEN, LOGITS = "last_hidden_state", "logits"


class Weights:
    """An encoder's weights; names are given without the family's prefix, which some files have and some have not."""

    def __init__(self, tensors: Tensors, prefix: str) -> None:
        self._tensors = tensors
        self._prefix = prefix

    def read(self, name: str) -> FloatArray:
        """One weight.

        Raises:
            ModelError: There is no such weight.
        """
        return self._tensors.read(self._full(name))

    def has(self, name: str) -> bool:
        """Whether there is such a weight."""
        return self._full(name) in self._tensors

    def norm(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Scale and shift of a LayerNorm; files from TensorFlow's days call them gamma and beta."""
        weight, bias = ("weight", "bias") if self.has(f"{name}.weight") else ("gamma", "beta")
        return self.read(f"{name}.{weight}"), self.read(f"{name}.{bias}")

    def _full(self, name: str) -> str:
        return name if name in self._tensors else self._prefix + name


class EncoderGraph:
    """Builds the graph of one model.

    Args:
        model: Its architecture.
        weights: Its weights.
        writer: Where they are stored.
        matrices: How.
    """

    def __init__(self, model: EncoderArchitecture, weights: Weights, writer: TensorWriter, matrices: Matrices) -> None:
        self._model = model
        self._weights = weights
        self._writer = writer
        self._matrices = matrices
        self._nodes = Nodes()
        self._stored: set[str] = set()
        self._joined_shape = writer.add("joined_shape", np.array([-1, model.hidden_size], np.int64))

    def build(self) -> ModelProto:
        """The whole graph; its tensors are with the writer.

        Raises:
            ModelError: A weight is missing.
        """
        packing = Packing(self._nodes, self._constant, "attention_mask")
        x = self._embed(packing)
        for index in range(self._model.num_layers):
            x = self._layer(index, x, packing)
        if self._model.is_classifier:
            output, shape = self._classify(x, packing)
        else:
            output, shape = packing.masked_rows(HIDDEN, x), ["batch", "sequence", self._model.hidden_size]
        return self._proto(output, shape)

    def _embed(self, packing: Packing) -> str:
        nodes, read = self._nodes, self._weights.read
        words = self._matrices.look_up(
            nodes, "words", read(f"{_EMBEDDINGS}.word_embeddings.weight"), packing.packed_input("input_ids")
        )
        table = read(f"{_EMBEDDINGS}.position_embeddings.weight")[self._model.first_position :]
        places = nodes.one("place", "Gather", self._writer.add("positions.weight", table), packing.positions)
        total = nodes.one("words_places", "Add", words, places)
        if self._weights.has(f"{_EMBEDDINGS}.token_type_embeddings.weight"):
            segments = self._writer.add("segments.weight", read(f"{_EMBEDDINGS}.token_type_embeddings.weight"))
            segment = nodes.one("segment", "Gather", segments, packing.packed_input("token_type_ids"))
            total = nodes.one("embedded", "Add", total, segment)
        scale, shift = self._norm(f"{_EMBEDDINGS}.LayerNorm")
        return nodes.one(
            "embeddings", "LayerNormalization", total, scale, shift, axis=-1, epsilon=self._model.norm_epsilon
        )

    def _layer(self, index: int, x: str, packing: Packing) -> str:
        names = self._model.names
        layer = names.layer.format(index)
        attended = self._attention(layer, x, packing)
        x = self._linear_add_norm(f"{layer}.{names.attention_output}", attended, x, f"{layer}.{names.attention_norm}")
        hidden = self._activated(f"{layer}.{names.intermediate}", x)
        return self._linear_add_norm(f"{layer}.{names.output}", hidden, x, f"{layer}.{names.output_norm}")

    def _attention(self, layer: str, x: str, packing: Packing) -> str:
        nodes, names = self._nodes, self._model.names
        parts = [f"{layer}.{name}" for name in (names.query, names.key, names.value)]
        weight = np.concatenate([self._weights.read(f"{part}.weight") for part in parts])
        bias = np.concatenate([self._weights.read(f"{part}.bias") for part in parts])
        # Softmax is where rounding hurts: in int8 these matrices alone would cost more than all others together, and
        # they are a quarter of the work.
        product = self._matrices.multiply(nodes, f"{layer}.qkv", x, weight, exact=True)
        packed = nodes.one(f"{layer}.qkv_bias", "Add", product, self._constant(f"{layer}.qkv.bias", bias))
        rows = packing.rows(f"{layer}.rows", packed)
        query, key, value = nodes.add(f"{layer}.split", "Split", [rows], outputs=3, axis=-1, num_outputs=3)
        attended = nodes.add(
            f"{layer}.attention",
            "MultiHeadAttention",
            [query, key, value, "", packing.mask],
            domain=MICROSOFT,
            num_heads=self._model.num_heads,
        )[0]
        return packing.packed(layer, attended, self._model.hidden_size)

    def _linear_add_norm(self, name: str, x: str, residual: str, norm: str) -> str:
        product = self._matrices.multiply(self._nodes, name, x, self._weights.read(f"{name}.weight"))
        bias = self._constant(f"{name}.bias", self._weights.read(f"{name}.bias"))
        return self._nodes.one(
            norm,
            "SkipLayerNormalization",
            *(product, residual, *self._norm(norm), bias),
            domain=MICROSOFT,
            epsilon=self._model.norm_epsilon,
        )

    def _activated(self, name: str, x: str) -> str:
        product = self._matrices.multiply(self._nodes, name, x, self._weights.read(f"{name}.weight"))
        bias = self._constant(f"{name}.bias", self._weights.read(f"{name}.bias"))
        return _activation(self._nodes, self._model.activation, name, product, bias)

    def _classify(self, x: str, packing: Packing) -> tuple[str, list[str | int]]:
        """The head over each row's first token: a dense layer, an activation, the scores."""
        dense, activation, scores = _head_names(self._weights)
        column = self._constant("first_column", np.array([0], np.int64))
        places = self._nodes.one("first_places", "Gather", packing.places, column, axis=1)
        first = self._nodes.one("first_tokens", "Gather", x, places)
        hidden = self._dense(dense, self._nodes.one("first_rows", "Reshape", first, self._joined_shape))
        hidden = self._nodes.one(f"{dense}.{activation}", activation, hidden)
        weight = self._weights.read(f"{scores}.weight")
        return self._dense(scores, hidden, output=LOGITS), ["batch", len(weight)]

    def _dense(self, name: str, x: str, output: str = "") -> str:
        weight = self._writer.add(f"{name}.weight", np.ascontiguousarray(self._weights.read(f"{name}.weight").T))
        bias = self._constant(f"{name}.bias", self._weights.read(f"{name}.bias"))
        return self._nodes.one(output or f"{name}.output", "Gemm", x, weight, bias)

    def _norm(self, name: str) -> tuple[str, str]:
        scale, shift = self._weights.norm(name)
        return self._writer.add(f"{name}.weight", scale), self._writer.add(f"{name}.bias", shift)

    def _constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        if name not in self._stored:
            self._stored.add(self._writer.add(name, values))
        return name

    def _proto(self, output: str, shape: list[str | int]) -> ModelProto:
        used = {name for node in self._nodes.protos for name in node.input}
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in INPUTS
            if name in used
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self._nodes.protos, self._model.family, inputs, outputs, self._writer.tensors)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="obeaver")


def _activation(nodes: Nodes, kind: str, name: str, product: str, bias: str) -> str:
    if kind == "gelu":
        return nodes.one(f"{name}.gelu", "BiasGelu", product, bias, domain=MICROSOFT)
    total = nodes.one(f"{name}.biased", "Add", product, bias)
    if kind == "relu":
        return nodes.one(f"{name}.relu", "Relu", total)
    return nodes.one(f"{name}.gelu", "Gelu", total, approximate="tanh")


def _head_names(weights: Weights) -> tuple[str, str, str]:
    """Dense layer, activation and scores of a classifier, by the names that the weights have."""
    for dense, activation, scores in (
        ("pooler.dense", "Tanh", "classifier"),
        ("classifier.dense", "Tanh", "classifier.out_proj"),
        ("pre_classifier", "Relu", "classifier"),
    ):
        if weights.has(f"{dense}.weight") and weights.has(f"{scores}.weight"):
            return dense, activation, scores
    raise ModelError("the weights have no head that scores texts")
