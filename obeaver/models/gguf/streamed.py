"""The model in float32, one layer in memory at a time: what calibration and the measuring of an import run.

One graph of a single layer is loaded once for each kind of layer, with its weights as inputs, and fed each such layer's
weights in turn. So a model runs in full precision in the memory of one layer, and nothing is written. Texts run beside
each other, one to a core.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

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
from obeaver.threads import default_threads

OnKeysAndValues = Callable[[int, int, FloatArray, FloatArray], None]
"""Called with a text's number, a layer, and keys (after RoPE) and values, each [1, num_kv_heads, tokens, head_dim]; for
several texts at once, in threads of their own."""

OnInputs = Callable[[int, str, FloatArray], None]
"""Called with a text's number, the name of a matrix, and its input [1, tokens, columns]; of matrices that share an
input, with the first. For several texts at once, in threads of their own."""

_HIDDEN: Final = "hidden"
_OUTPUTS: Final = (f"{_HIDDEN}.out", "present.0.key", "present.0.value")
_ERRORS_ONLY: Final = 3


class StreamedLayers:
    """Runs texts through the layers, one after the other.

    Args:
        model: The model.
        weights: Its weights.
        texts: Token ids of each text.
        on_keys_and_values: Called for each text in each layer.
        on_inputs: Called for each text with the input of each matrix of the layers, and with the head's.

    Attributes:
        hidden: Each text's states [1, tokens, hidden_size] after the last layer that was run.
        num_run: Layers that were run.
    """

    def __init__(
        self,
        model: Architecture,
        weights: Weights,
        texts: Sequence[Sequence[int]],
        *,
        on_keys_and_values: OnKeysAndValues | None = None,
        on_inputs: OnInputs | None = None,
    ) -> None:
        self.hidden = [_embedded(weights, ids) for ids in texts]
        self.num_run = 0
        self._model = model
        self._weights = weights
        at_once = min(len(texts), weights.workers.num_threads)
        threads = max(1, default_threads() // at_once)
        self._sessions = _LayerSessions(model, weights, max(map(len, texts)), threads)
        self._on_keys_and_values = on_keys_and_values
        self._on_inputs = on_inputs

    def run_next(self) -> None:
        """Run one layer over all texts; after the last one, its norm."""
        if self.num_run < self._model.num_layers:
            self._run(self.num_run)
        elif self._on_inputs is not None:
            for number, states in enumerate(self.hidden):
                self._on_inputs(number, HEAD, _normed(self._model, self._weights, states))
        self.num_run += 1

    def _run(self, layer: int) -> None:
        session, parameters = self._sessions.of(self._model.layers[layer])
        empty = np.zeros((1, self._model.num_kv_heads, 0, self._model.head_width), np.float32)
        fed = {"past_key_values.0.key": empty, "past_key_values.0.value": empty, **parameters.feed(layer)}
        readers = parameters.first_readers if self._on_inputs is not None else {}
        names = [x for x in readers if x != _HIDDEN]

        def run(number: int) -> None:
            before = self.hidden[number]
            inputs = {_HIDDEN: before, "attention_mask": np.ones((1, before.shape[1]), np.int64), **fed}
            self.hidden[number], keys, values, *seen = session.run([*_OUTPUTS, *names], inputs)
            if self._on_inputs is not None:
                for x, found in {_HIDDEN: before, **dict(zip(names, seen, strict=True))}.items():
                    if x in readers:
                        self._on_inputs(number, parameters.of_layer(readers[x], layer), found)
            if self._on_keys_and_values is not None:
                self._on_keys_and_values(number, layer, keys, values)

        longest_first = sorted(range(len(self.hidden)), key=lambda number: -self.hidden[number].shape[1])
        deque(self._weights.workers.map(run, longest_first), maxlen=0)


def run_layers(
    model: Architecture, weights: Weights, texts: Sequence[Sequence[int]], *, on_inputs: OnInputs | None = None
) -> list[FloatArray]:
    """Run every layer over some texts.

    Args:
        model: The model.
        weights: Its weights.
        texts: Token ids of each text.
        on_inputs: As for `StreamedLayers`.

    Returns:
        Each text's hidden states [1, tokens, hidden_size] after the last layer, before the last norm.
    """
    layers = StreamedLayers(model, weights, texts, on_inputs=on_inputs)
    while layers.num_run <= model.num_layers:
        layers.run_next()
    return layers.hidden


def head_logits(model: Architecture, weights: Weights, hidden: FloatArray) -> Iterator[FloatArray]:
    """Logits of hidden states from `run_layers`, in chunks [positions, vocab_size]."""
    nodes, parameters = Nodes(), _FedParameters(weights)
    head(model, nodes, parameters, Norms(model, nodes, parameters).norm("output_norm", _HIDDEN))
    outputs = [declare(LOGITS, TensorProto.FLOAT, ["batch", "tokens", model.vocab_size])]
    session = _session(nodes, parameters, [_declared_hidden(_HIDDEN, model)], outputs, default_threads())
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


class _Source(NamedTuple):
    """An input of the graph that holds weights.

    Attributes:
        shape: Its sizes.
        begin: Begins to read those of a layer; gives what waits for them.
    """

    shape: tuple[int, ...]
    begin: Callable[[int], Callable[[], FloatArray]]

    @classmethod
    def when_needed(cls, shape: tuple[int, ...], read: Callable[[int], FloatArray]) -> "_Source":
        """One that is read when it is waited for."""
        return cls(shape, lambda layer: partial(read, layer))


class _FedParameters:
    """Weights that are inputs of the graph. `feed` gives those of any layer for a graph that was built as another.

    Attributes:
        constants: Tensors that do not differ between layers.
        first_readers: The first matrix that each tensor is multiplied with.
    """

    def __init__(self, weights: Weights, built_as: int = 0) -> None:
        self._weights = weights
        self._built_as = built_as
        self._sources: dict[str, _Source] = {}
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
        shape = self._weights.vector(name).shape
        self._sources[name] = _Source.when_needed(shape, lambda layer: self._weights.vector(self.of_layer(name, layer)))
        return name

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """See `graph.Parameters`."""
        matrix = f"{name}.weight"
        self.first_readers.setdefault(x, parts[0])
        rows, columns = self._weights.num_rows(parts), self._weights.num_columns(parts)
        self._sources[matrix] = _Source(
            (rows, columns), lambda layer: self._weights.begin_matrix(self._parts(parts, layer))
        )
        product = f"{name}.product" if self._weights.has_bias(parts) else name
        nodes.one(product, "FusedMatMul", x, matrix, domain=MICROSOFT, transB=1)
        if product == name:
            return name
        bias = _Source.when_needed((rows,), lambda layer: self._weights.bias(self._parts(parts, layer)))
        self._sources[f"{name}.bias"] = bias
        return nodes.one(name, "Add", product, f"{name}.bias")

    def scores(self, nodes: Nodes, name: str, x: str, part: str) -> str:
        """See `graph.Parameters`."""
        return self.linear(nodes, name, x, [part])

    def head(self, nodes: Nodes, name: str, x: str) -> str:
        """See `graph.Parameters`."""
        return self.linear(nodes, name, x, [HEAD])

    def experts(self, nodes: Nodes, name: str, x: str, scores: str, prefix: str, attributes: Mapping[str, Any]) -> str:
        """See `graph.Parameters`."""
        gate_up, down = f"{name}.gate_up", f"{name}.down"
        count, inner, outer = self._weights.num_experts, self._weights.model.ffn_size, self._weights.model.hidden_size
        self._sources[gate_up] = _Source.when_needed(
            (count, 2 * inner, outer), lambda layer: self._weights.gate_ups(self._prefix(prefix, layer))
        )
        self._sources[down] = _Source.when_needed(
            (count, outer, inner), lambda layer: self._weights.downs(self._prefix(prefix, layer))
        )
        biases = ["", ""]
        if self._weights.expert_biases(prefix) is not None:
            biases = [f"{gate_up}.bias", f"{down}.bias"]
            for i, bias in enumerate(biases):
                shape = (count, outer if i else 2 * inner)
                self._sources[bias] = _Source.when_needed(shape, partial(self._expert_bias, prefix, i))
        inputs = [x, scores, gate_up, biases[0], down, biases[1]]
        return nodes.one(name, "MoE", *inputs, domain=MICROSOFT, **attributes)

    def declared(self) -> list[ValueInfoProto]:
        """The graph's inputs that `feed` gives."""
        return [declare(name, TensorProto.FLOAT, source.shape) for name, source in self._sources.items()]

    def feed(self, layer: int) -> Mapping[str, FloatArray]:
        """The weights of one layer, under the names of the one that the graph was built as."""
        begun = {name: source.begin(layer) for name, source in self._sources.items()}
        return {name: read() for name, read in begun.items()}

    def of_layer(self, name: str, layer: int) -> str:
        """The name of the same weight in another layer."""
        return name.replace(f"blk.{self._built_as}.", f"blk.{layer}.", 1)

    def _parts(self, parts: Sequence[str], layer: int) -> list[str]:
        return [self.of_layer(part, layer) for part in parts]

    def _prefix(self, prefix: str, layer: int) -> str:
        return self.of_layer(f"{prefix}.", layer)[:-1]

    def _expert_bias(self, prefix: str, which: int, layer: int) -> FloatArray:
        biases = self._weights.expert_biases(self._prefix(prefix, layer))
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

    def __init__(self, model: Architecture, weights: Weights, num_positions: int, num_threads: int) -> None:
        self._model = replace(model, context_length=num_positions)
        self._weights = weights
        self._num_threads = num_threads
        self._sessions: dict[LayerKind, tuple[ort.InferenceSession, _FedParameters]] = {}

    def of(self, kind: LayerKind) -> tuple[ort.InferenceSession, _FedParameters]:
        """The graph of a kind of layer, and what to feed it."""
        if kind not in self._sessions:
            index = self._model.layers.index(kind)
            self._sessions[kind] = _layer_session(self._model, self._weights, index, self._num_threads)
        return self._sessions[kind]


def _layer_session(
    model: Architecture, weights: Weights, index: int, num_threads: int
) -> tuple[ort.InferenceSession, _FedParameters]:
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
    return _session(nodes, parameters, inputs, outputs, num_threads), parameters


def _session(
    nodes: Nodes,
    parameters: _FedParameters,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    num_threads: int,
) -> ort.InferenceSession:
    constants = [numpy_helper.from_array(values, name) for name, values in parameters.constants.items()]
    graph = as_model(nodes, [*inputs, *parameters.declared()], outputs, constants)
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = num_threads
    options.enable_cpu_mem_arena = False  # it would keep the largest layer's buffers until the end
    return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _declared_hidden(name: str, model: Architecture) -> ValueInfoProto:
    return declare(name, TensorProto.FLOAT, ["batch", "tokens", model.hidden_size])
