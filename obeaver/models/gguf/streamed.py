"""The model in float32, one layer in memory at a time: what calibration and the measuring of an import run.

One graph of a single layer is loaded once for each kind of layer, with its weights as inputs, and fed each such layer's
weights in turn. So a model runs in full precision in the memory of one layer, and nothing is written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnx import TensorProto, ValueInfoProto, numpy_helper

from obeaver.models.fidelity import CHUNK
from obeaver.models.gguf.architecture import Architecture, LayerKind
from obeaver.models.gguf.decoder import as_model, declare, head
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.graph import LOGITS, MICROSOFT, Nodes
from obeaver.models.gguf.layers import DecoderLayers, attention_inputs
from obeaver.models.gguf.norms import Norms
from obeaver.models.gguf.reader import FloatArray, GgufFile
from obeaver.models.gguf.weights import EMBEDDING, HEAD, Weights

OnKeysAndValues = Callable[[int, int, FloatArray, FloatArray], None]
"""Called with a text's number, a layer, and keys (after RoPE) and values, each [1, num_kv_heads, tokens, head_dim]."""

OnInputs = Callable[[int, str, FloatArray], None]
"""Called with a text's number, the name of a matrix, and its input [1, tokens, columns]; of matrices that share an
input, with the first."""

_HIDDEN: Final = "hidden"
_ERRORS_ONLY: Final = 3


def run_layers(
    model: Architecture,
    weights: Weights,
    texts: Sequence[Sequence[int]],
    *,
    on_keys_and_values: OnKeysAndValues | None = None,
    on_inputs: OnInputs | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[FloatArray]:
    """Run every layer over some texts.

    Args:
        model: The model.
        weights: Its weights.
        texts: Token ids of each text.
        on_keys_and_values: Called for each text in each layer.
        on_inputs: Called for each text with the input of each matrix of the layers, and with the head's.
        advance: Told of each layer that is done.

    Returns:
        Each text's hidden states [1, tokens, hidden_size] after the last layer, before the last norm.
    """
    hidden = [_embedded(weights, ids) for ids in texts]
    sessions = _LayerSessions(model, weights, max(map(len, texts)))
    empty = np.zeros((1, model.num_kv_heads, 0, model.head_width), np.float32)
    past = {"past_key_values.0.key": empty, "past_key_values.0.value": empty}
    outputs = [f"{_HIDDEN}.out", "present.0.key", "present.0.value"]
    for layer in range(model.num_layers):
        session, parameters = sessions.of(model.layers[layer])
        readers = parameters.first_readers if on_inputs is not None else {}
        fed = parameters.feed(layer)
        for number, ids in enumerate(texts):
            mask = np.ones((1, len(ids)), np.int64)
            before = hidden[number]
            inputs = {_HIDDEN: before, "attention_mask": mask, **past, **fed}
            names = [x for x in readers if x != _HIDDEN]
            hidden[number], keys, values, *seen = session.run([*outputs, *names], inputs)
            if on_inputs is not None:
                for x, found in {_HIDDEN: before, **dict(zip(names, seen, strict=True))}.items():
                    if x in readers:
                        on_inputs(number, parameters.of_layer(readers[x], layer), found)
            if on_keys_and_values is not None:
                on_keys_and_values(number, layer, keys, values)
        if advance is not None:
            advance(1)
    if on_inputs is not None:
        for number, states in enumerate(hidden):
            on_inputs(number, HEAD, _normed(model, weights, states))
    return hidden


def head_logits(model: Architecture, weights: Weights, hidden: FloatArray) -> Iterator[FloatArray]:
    """Logits of hidden states from `run_layers`, in chunks [positions, vocab_size]."""
    nodes, parameters = Nodes(), _FedParameters(weights)
    head(model, nodes, parameters, Norms(model, nodes, parameters).norm("output_norm", _HIDDEN))
    outputs = [declare(LOGITS, TensorProto.FLOAT, ["batch", "tokens", model.vocab_size])]
    session = _session(nodes, parameters, [_declared_hidden(_HIDDEN, model)], outputs)
    fed = parameters.feed(0)
    for start in range(0, hidden.shape[1], CHUNK):
        yield session.run([LOGITS], {_HIDDEN: hidden[:, start : start + CHUNK], **fed})[0][0]


def original_logits(source: Path, token_ids: Sequence[int]) -> Iterator[FloatArray]:
    """Logits of a GGUF file's own weights in float32 over a text, in chunks [positions, vocab_size].

    Raises:
        ModelError: The file is broken or not supported.
    """
    file = GgufFile(source)
    model = read_architecture(file)
    weights = Weights(file, model)
    yield from head_logits(model, weights, run_layers(model, weights, [token_ids])[0])


class _FedParameters:
    """Weights that are inputs of the graph. `feed` gives those of any layer for a graph that was built as another.

    Attributes:
        constants: Tensors that do not differ between layers.
        first_readers: The first matrix that each tensor is multiplied with.
    """

    def __init__(self, weights: Weights, built_as: int = 0) -> None:
        self._weights = weights
        self._built_as = built_as
        self._sources: dict[str, Callable[[int], FloatArray]] = {}
        self.constants: dict[str, npt.NDArray[np.generic]] = {}
        self.first_readers: dict[str, str] = {}

    def array(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """See `graph.Parameters`."""
        self.constants[name] = values
        return name

    def values(self, name: str) -> FloatArray:
        """See `graph.Parameters`."""
        return self._weights.vector(name)

    def vector(self, name: str) -> str:
        """See `graph.Parameters`."""
        if not self._weights.has(name):
            return ""
        self._sources[name] = lambda layer: self._weights.vector(self.of_layer(name, layer))
        return name

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """See `graph.Parameters`."""
        matrix = f"{name}.weight"
        self.first_readers.setdefault(x, parts[0])
        self._sources[matrix] = lambda layer: np.concatenate(list(self._weights.chunks(self._parts(parts, layer))))
        product = f"{name}.product" if self._weights.has_bias(parts) else name
        nodes.one(product, "FusedMatMul", x, matrix, domain=MICROSOFT, transB=1)
        if product == name:
            return name
        self._sources[f"{name}.bias"] = lambda layer: self._weights.bias(self._parts(parts, layer))
        return nodes.one(name, "Add", product, f"{name}.bias")

    def scores(self, nodes: Nodes, name: str, x: str, part: str) -> str:
        """See `graph.Parameters`."""
        return self.linear(nodes, name, x, [part])

    def head(self, nodes: Nodes, name: str, x: str) -> str:
        """See `graph.Parameters`."""
        return self.linear(nodes, name, x, [HEAD])

    def experts(self, nodes: Nodes, name: str, x: str, scores: str, prefix: str, attributes: Mapping[str, Any]) -> str:
        """See `graph.Parameters`."""
        count = range(self._weights.num_experts)
        gate_up, down = f"{name}.gate_up", f"{name}.down"
        self._sources[gate_up] = lambda layer: np.stack(
            [self._weights.gate_up(self.of_layer(f"{prefix}.", layer)[:-1], index) for index in count]
        )
        self._sources[down] = lambda layer: np.stack(
            [self._weights.down(self.of_layer(f"{prefix}.", layer)[:-1], index) for index in count]
        )
        biases = ["", ""]
        if self._weights.expert_biases(prefix) is not None:
            biases = [f"{gate_up}.bias", f"{down}.bias"]
            for i, bias in enumerate(biases):
                self._sources[bias] = partial(self._expert_bias, prefix, i)
        inputs = [x, scores, gate_up, biases[0], down, biases[1]]
        return nodes.one(name, "MoE", *inputs, domain=MICROSOFT, **attributes)

    def declared(self) -> list[ValueInfoProto]:
        """The graph's inputs that `feed` gives."""
        shapes = {name: source(self._built_as).shape for name, source in self._sources.items()}
        return [declare(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    def feed(self, layer: int) -> Mapping[str, FloatArray]:
        """The weights of one layer, under the names of the one that the graph was built as."""
        return {name: source(layer) for name, source in self._sources.items()}

    def of_layer(self, name: str, layer: int) -> str:
        """The name of the same weight in another layer."""
        return name.replace(f"blk.{self._built_as}.", f"blk.{layer}.", 1)

    def _parts(self, parts: Sequence[str], layer: int) -> list[str]:
        return [self.of_layer(part, layer) for part in parts]

    def _expert_bias(self, prefix: str, which: int, layer: int) -> FloatArray:
        biases = self._weights.expert_biases(self.of_layer(f"{prefix}.", layer)[:-1])
        return np.zeros(0, np.float32) if biases is None else biases[which]


def _embedded(weights: Weights, ids: Sequence[int]) -> FloatArray:
    rows = np.stack([weights.row(EMBEDDING, index) for index in ids])[None]
    return rows if weights.model.embedding_scale == 1 else rows * np.float32(weights.model.embedding_scale)


def _normed(model: Architecture, weights: Weights, hidden: FloatArray) -> FloatArray:
    """The head's input."""
    if model.family.norm == "layer":
        hidden = hidden - hidden.mean(axis=-1, keepdims=True)
    size = np.sqrt(np.square(hidden).mean(axis=-1, keepdims=True) + model.norm_epsilon)
    normed: FloatArray = hidden / size * weights.vector("output_norm.weight")
    return normed + weights.vector("output_norm.bias") if weights.has("output_norm.bias") else normed


class _LayerSessions:
    """Graphs of one layer between hidden states and hidden states, one for each kind of layer."""

    def __init__(self, model: Architecture, weights: Weights, num_positions: int) -> None:
        self._model = replace(model, context_length=num_positions)
        self._weights = weights
        self._sessions: dict[LayerKind, tuple[ort.InferenceSession, _FedParameters]] = {}

    def of(self, kind: LayerKind) -> tuple[ort.InferenceSession, _FedParameters]:
        """The graph of a kind of layer, and what to feed it."""
        if kind not in self._sessions:
            self._sessions[kind] = _layer_session(self._model, self._weights, self._model.layers.index(kind))
        return self._sessions[kind]


def _layer_session(model: Architecture, weights: Weights, index: int) -> tuple[ort.InferenceSession, _FedParameters]:
    """A graph of one layer alone."""
    nodes, parameters = Nodes(), _FedParameters(weights, index)
    rope = model.layers[index].rope
    shared = attention_inputs(model, nodes, parameters, _HIDDEN, [] if rope is None else [rope])
    layers = DecoderLayers(model, nodes, parameters, shared)
    added, residual = layers.layer(index, layers.norms.norm(layers.first_norm(index), _HIDDEN), _HIDDEN, cache=0)
    nodes.one(f"{_HIDDEN}.out", "Add", added, residual)
    cache: list[int | str] = ["batch", model.num_kv_heads, "tokens", model.head_width]
    past = [declare(f"past_key_values.0.{which}", TensorProto.FLOAT, cache) for which in ("key", "value")]
    present = [declare(f"present.0.{which}", TensorProto.FLOAT, cache) for which in ("key", "value")]
    mask = declare("attention_mask", TensorProto.INT64, ["batch", "total_tokens"])
    inputs = [_declared_hidden(_HIDDEN, model), mask, *past]
    read = [x for x in parameters.first_readers if x != _HIDDEN]
    seen = [declare(x, TensorProto.FLOAT, ["batch", "tokens", f"columns of {x}"]) for x in read]
    outputs = [_declared_hidden(f"{_HIDDEN}.out", model), *present, *seen]
    return _session(nodes, parameters, inputs, outputs), parameters


def _session(
    nodes: Nodes,
    parameters: _FedParameters,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
) -> ort.InferenceSession:
    constants = [numpy_helper.from_array(values, name) for name, values in parameters.constants.items()]
    graph = as_model(nodes, [*inputs, *parameters.declared()], outputs, constants)
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.enable_cpu_mem_arena = False  # it would keep the largest layer's buffers until the end
    return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _declared_hidden(name: str, model: Architecture) -> ValueInfoProto:
    return declare(name, TensorProto.FLOAT, ["batch", "tokens", model.hidden_size])
