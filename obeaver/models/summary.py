"""What a folder holds, whatever kind of model it is: told to people, to the store's listing and to the API.

Nothing is loaded. Decoders are read by `facts`, encoders by `encoder.layout`; where neither folder nor import says how
the weights are stored, the operators of the graph do.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from obeaver.errors import ModelError
from obeaver.model_files import read_json_object
from obeaver.models.encoder.layout import EncoderFacts, is_encoder_folder, is_importable, read_encoder_facts
from obeaver.models.facts import CONFIG, PROVENANCE, ModelFacts, is_model_folder, read_facts
from obeaver.onnx_outline import Node, read_input_types, read_nodes

# Values of onnx.TensorProto.DataType, by the words that imports use for a cache's format.
_ELEMENTS: Final = {1: "float32", 2: "int4", 3: "int8", 10: "float16", 16: "bfloat16", 17: "float8"}
_PLAIN_WEIGHTS: Final = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_BITS_OF: Final = {"MatMulNBits": "bits", "QMoE": "expert_weight_bits"}
_INT8_OPS: Final = frozenset({"MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QAttention"})
T = TypeVar("T")
_CACHE: Final = "past_key_values."


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model as its folder describes it, of any kind.

    Attributes:
        name: As obeaver's import wrote it, else the folder's name.
        folder: The folder.
        kind: `chat`, `embedding` or `reranker`.
        architecture: Such as `llama` or `bert`.
        context_length: Tokens of prompt and answer together, or of a text.
        vocab_size: Token ids are below this.
        size_bytes: Of all files in the folder.
        weights: Format of the weights: `int8`, `int4`, `fp16`, `fp32`; None where nothing tells.
        kv: Format of the KV cache: `int8`, `float16`, `float32`; None where there is none, or nothing tells.
        kv_bytes_per_token: Bytes of one token's keys and values; None where there are none, or nothing tells.
        provider: Execution provider that the folder was made for.
        vision: It takes images beside text.
        chat_template: Jinja source; None where there is none.
        tool_dialect: How it writes tool calls; None where it writes none.
        think_markers: What stands around its thoughts; None where there is no such thing.
        pooling: Of an embedding model: how the vectors of tokens become one.
        licence: Where the folder says it.
        source: What the import was made from, where the folder says it.
        fidelity: What the import measured against the source's own weights, where it did.
    """

    name: str
    folder: Path
    kind: str
    architecture: str
    context_length: int
    vocab_size: int
    size_bytes: int
    weights: str | None
    kv: str | None
    kv_bytes_per_token: int | None
    provider: str
    vision: bool
    chat_template: str | None
    tool_dialect: str | None
    think_markers: tuple[str, str] | None
    pooling: tuple[str, ...]
    licence: str | None
    source: Mapping[str, Any] | None
    fidelity: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return {**asdict(self), "folder": str(self.folder)}


def summarise(folder: Path) -> ModelSummary:
    """Tell what a model folder holds.

    Raises:
        ModelError: It is no model folder, or a broken one; says what is wrong and what can be done.
    """
    if is_model_folder(folder):
        return _decoder(read_facts(folder))
    if not is_encoder_folder(folder):
        raise ModelError(f"{folder} is not a model folder: it has no {CONFIG}")
    facts = read_encoder_facts(folder)
    if facts.graph is None and not is_importable(folder):
        raise ModelError(
            f"{folder} holds weights of the architecture {facts.architecture!r} and no ONNX graph: "
            "`obeaver convert` makes a model of them"
        )
    return _encoder(facts)


def _decoder(facts: ModelFacts) -> ModelSummary:
    weights, kv = facts.weights, facts.kv
    if facts.decoder_graph is not None and (weights is None or kv is None):
        cache = _cache_format(facts.decoder_graph)
        kv = kv or cache
        weights = weights or _weights_format(facts.decoder_graph, plain=cache)
    return ModelSummary(
        name=facts.name,
        folder=facts.folder,
        kind=facts.kind,
        architecture=facts.architecture,
        context_length=facts.context_length,
        vocab_size=facts.vocab_size,
        size_bytes=facts.size_bytes,
        weights=weights,
        kv=kv,
        kv_bytes_per_token=facts.kv_bytes_per_token,
        provider=facts.provider,
        vision=facts.vision,
        chat_template=facts.chat_template,
        tool_dialect=facts.tool_dialect,
        think_markers=facts.think_markers,
        pooling=(),
        licence=facts.licence,
        source=_source(facts.folder),
        fidelity=facts.fidelity,
    )


def _encoder(facts: EncoderFacts) -> ModelSummary:
    return ModelSummary(
        name=facts.name,
        folder=facts.folder,
        kind=facts.kind,
        architecture=facts.architecture,
        context_length=facts.context_length,
        vocab_size=facts.vocab_size,
        size_bytes=facts.size_bytes,
        weights=facts.weights or (_weights_format(facts.graph, plain=None) if facts.graph else None),
        kv=None,
        kv_bytes_per_token=None,
        provider="cpu",
        vision=False,
        chat_template=None,
        tool_dialect=None,
        think_markers=None,
        pooling=facts.pooling,
        licence=facts.licence,
        source=_source(facts.folder),
        fidelity=facts.fidelity,
    )


def _source(folder: Path) -> Mapping[str, Any] | None:
    path = folder / PROVENANCE
    source = read_json_object(path).get("source") if path.exists() else None
    return source if isinstance(source, dict) else None


def _cache_format(graph: Path) -> str | None:
    types = _read(read_input_types, graph)
    return next((_ELEMENTS.get(kind) for name, kind in types.items() if name.startswith(_CACHE)), None)


def _weights_format(graph: Path, *, plain: str | None) -> str | None:
    """What most of the graph's matrices are stored as; `plain` is the type of its activations, where it is known."""
    nodes = _read(read_nodes, graph)
    bits = Counter(found for node in nodes if (found := _bits(node)))
    if bits:
        return f"int{bits.most_common(1)[0][0]}"
    return None if plain is None else _PLAIN_WEIGHTS.get(plain)


def _bits(node: Node) -> int:
    if node.op_type in _INT8_OPS:
        return 8
    return node.ints.get(_BITS_OF.get(node.op_type, ""), 4 if node.op_type in _BITS_OF else 0)


def _read(reader: Callable[[Path], T], graph: Path) -> T:
    try:
        return reader(graph)
    except (OSError, ValueError) as error:
        raise ModelError(f"{graph} cannot be read: {error}") from error
