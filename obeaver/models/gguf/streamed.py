"""The model in float32, one layer in memory at a time: what calibration and the measuring of an import run.

One graph of a single layer is loaded once, with its weights as inputs, and fed each layer's weights in turn. So a model
runs in full precision in the memory of one layer, and nothing is written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnx import TensorProto, ValueInfoProto, numpy_helper

from obeaver.models.fidelity import CHUNK
from obeaver.models.gguf.architecture import Architecture, read_architecture
from obeaver.models.gguf.decoder import as_model, declare
from obeaver.models.gguf.graph import LOGITS, MICROSOFT, DecoderLayers, Nodes, attention_inputs, rms_norm
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
    session, parameters = _layer_session(model, weights, max(map(len, texts)))
    empty = np.zeros((1, model.num_kv_heads, 0, model.head_dim), np.float32)
    past = {"past_key_values.0.key": empty, "past_key_values.0.value": empty}
    outputs = [f"{_HIDDEN}.out", "present.0.key", "present.0.value"]
    readers = parameters.first_readers if on_inputs is not None else {}
    for layer in range(model.num_layers):
        fed = parameters.feed(layer)
        for number, ids in enumerate(texts):
            mask = np.ones((1, len(ids)), np.int64)
            inputs = {_HIDDEN: hidden[number], "attention_mask": mask, **past, **fed}
            hidden[number], keys, values, *seen = session.run([*outputs, *readers], inputs)
            if on_inputs is not None:
                for matrix, found in zip(readers.values(), seen, strict=True):
                    on_inputs(number, _of_layer(matrix, layer), found)
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
    normed = rms_norm(model, nodes, parameters, "output_norm", _HIDDEN)
    parameters.linear(nodes, LOGITS, normed, [HEAD])
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
    """Weights that are inputs of the graph. `feed` gives those of any layer for a graph that was built as layer 0.

    Attributes:
        constants: Tensors that do not differ between layers.
        first_readers: The first matrix that each tensor is multiplied with.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
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
        self._sources[name] = lambda layer: self._weights.vector(_of_layer(name, layer))
        return name

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """See `graph.Parameters`."""
        matrix = f"{name}.weight"
        self.first_readers.setdefault(x, parts[0])
        self._sources[matrix] = lambda layer: np.concatenate(list(self._weights.chunks(_of_layers(parts, layer))))
        product = nodes.one(name, "FusedMatMul", x, matrix, domain=MICROSOFT, transB=1)
        if not self._weights.has_bias(parts):
            return product
        self._sources[f"{name}.bias"] = lambda layer: self._weights.bias(_of_layers(parts, layer))
        return nodes.one(f"{name}.biased", "Add", product, f"{name}.bias")

    def declared(self) -> list[ValueInfoProto]:
        """The graph's inputs that `feed` gives."""
        return [declare(name, TensorProto.FLOAT, source(0).shape) for name, source in self._sources.items()]

    def feed(self, layer: int) -> Mapping[str, FloatArray]:
        """The weights of one layer, under the names of layer 0."""
        return {name: source(layer) for name, source in self._sources.items()}


def _embedded(weights: Weights, ids: Sequence[int]) -> FloatArray:
    return np.stack([weights.row(EMBEDDING, index) for index in ids])[None]


def _normed(model: Architecture, weights: Weights, hidden: FloatArray) -> FloatArray:
    """The head's input."""
    size = np.sqrt(np.square(hidden).mean(axis=-1, keepdims=True) + model.norm_epsilon)
    normed: FloatArray = hidden / size * weights.vector("output_norm.weight")
    return normed


def _layer_session(
    model: Architecture, weights: Weights, num_positions: int
) -> tuple[ort.InferenceSession, _FedParameters]:
    """A graph of layer 0 alone, between hidden states and hidden states."""
    nodes, parameters = Nodes(), _FedParameters(weights)
    shared = attention_inputs(replace(model, context_length=num_positions), nodes, parameters)
    x = rms_norm(model, nodes, parameters, "blk.0.attn_norm", _HIDDEN)
    added, residual = DecoderLayers(model, nodes, parameters, shared).layer(0, x, _HIDDEN)
    nodes.one(f"{_HIDDEN}.out", "Add", added, residual)
    cache: list[int | str] = ["batch", model.num_kv_heads, "tokens", model.head_dim]
    past = [declare(f"past_key_values.0.{which}", TensorProto.FLOAT, cache) for which in ("key", "value")]
    present = [declare(f"present.0.{which}", TensorProto.FLOAT, cache) for which in ("key", "value")]
    mask = declare("attention_mask", TensorProto.INT64, ["batch", "total_tokens"])
    inputs = [_declared_hidden(_HIDDEN, model), mask, *past]
    seen = [declare(x, TensorProto.FLOAT, ["batch", "tokens", f"columns of {x}"]) for x in parameters.first_readers]
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


def _of_layers(parts: Sequence[str], layer: int) -> list[str]:
    return [_of_layer(part, layer) for part in parts]


def _of_layer(name: str, layer: int) -> str:
    return name.replace("blk.0.", f"blk.{layer}.", 1)
