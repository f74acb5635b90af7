"""What a folder of an embedding model or a reranker says, in each layout that is about.

- sentence-transformers: `modules.json` names the steps (Transformer, Pooling, Dense, Normalize) and their folders;
- transformers.js and onnx-community: `config.json`, a tokenizer, and graphs in `onnx/`, some of them quantised;
- optimum: the same with `model.onnx` beside the configuration.

The layouts mix: a sentence-transformers folder may hold `onnx/` too. A folder without any graph can be served once its
safetensors were imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.model_files import read_json, read_json_object
from obeaver.models.encoder.architecture import DECODERS, FAMILIES, is_classifier, read_architecture
from obeaver.models.encoder.known import KnownModel, known_model
from obeaver.models.encoder.safetensors import SHARD_INDEX, SINGLE_FILE, weight_files

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
PROVENANCE: Final = "obeaver.json"
MODULES: Final = "modules.json"
_SENTENCE_CONFIGS: Final = ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlnet_config.json")
PROMPTS: Final = "config_sentence_transformers.json"
_TOKENIZER_CONFIG: Final = "tokenizer_config.json"

DEFAULT_WEIGHTS: Final = "fp32"
"""Vectors are kept, and compared with those that other programs made of the same model: the exact ones are the default.

int8 takes 0.6 of the time and 0.4 of the memory, at a cosine of 0.997 to the exact vectors.
"""

EMBEDDING: Final = "embedding"
RERANKER: Final = "reranker"

# The exact one first, then by how near the usual quantisations are to it.
GRAPHS: Final = (
    "model.onnx",
    "model_optimized.onnx",
    "model_O3.onnx",
    "model_O2.onnx",
    "model_O1.onnx",
    "model_fp16.onnx",
    "model_int8.onnx",
    "model_uint8.onnx",
    "model_quantized.onnx",
    "model_q8.onnx",
    "model_q4.onnx",
    "model_q4f16.onnx",
)
"""Names of graphs."""

_FOLDERS: Final = ("", "onnx")
_PREFIX: Final = "pooling_mode_"
# In the order in which sentence-transformers joins the results.
POOLING_MODES: Final = (
    "cls_token",
    "max_tokens",
    "mean_tokens",
    "mean_sqrt_len_tokens",
    "weightedmean_tokens",
    "lasttoken",
)
_SHORT_NAMES: Final = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens"} | {
    mode: mode for mode in POOLING_MODES
}
# Decoders give every token what stands before it alone: only the last has seen the whole text.
_DECODERS: Final = frozenset({"qwen2", "qwen3", "llama", "mistral", "gemma", "gemma2", "phi3"})
# A stand-in of Hugging Face's for "no limit".
_NO_LIMIT: Final = 10**9


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """A layer after pooling.

    Attributes:
        weights: Its safetensors.
        activation: Name of the function after it, such as `Tanh`.
        has_bias: Whether it has one.
    """

    weights: Path
    activation: str
    has_bias: bool


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """An embedding model or a reranker as its folder describes it.

    Attributes:
        name: As obeaver's import wrote it, else the folder's name.
        folder: The folder.
        kind: `embedding` or `reranker`.
        architecture: The model's type, such as `bert`.
        graph: The ONNX file; None where the folder has safetensors alone.
        context_length: Longest text in tokens that the model was made for.
        max_context_length: Longest one that it can compute.
        vocab_size: Ids are below this.
        pooling: Modes whose results are joined, named as in `1_Pooling/config.json`.
        pools_prompt: Whether a prompt's tokens count in pooling.
        dense: Layers after pooling.
        lower_case: Texts are lowered before they are tokenised.
        prompts: Name to the text that goes before an input.
        default_prompt: Name of the one that is used when none is asked for.
        size_bytes: Of all files in the folder.
        weights: Format of the weights, where the folder says it: `int8`, `fp32`.
        licence: Where the folder says it.
        fidelity: What the import measured against the source's own weights, where it did.
        pair: Of a reranker that reads query and document as one prompt: that prompt, with `{query}` and `{document}`.
    """

    name: str
    folder: Path
    kind: str
    architecture: str
    graph: Path | None
    context_length: int
    max_context_length: int
    vocab_size: int
    pooling: tuple[str, ...]
    pools_prompt: bool
    dense: tuple[DenseFacts, ...]
    lower_case: bool
    prompts: Mapping[str, str]
    default_prompt: str | None
    size_bytes: int
    weights: str | None
    licence: str | None
    fidelity: Mapping[str, Any] | None
    pair: str | None


def is_encoder_folder(folder: Path) -> bool:
    """Whether `read_encoder_facts` can be asked about this folder."""
    return (folder / CONFIG).is_file() and (find_graph(folder) is not None or bool(weight_files(folder)))


def model_type(folder: Path) -> str:
    """What `config.json` calls the architecture.

    Raises:
        ModelError: There is no such file, or it is broken.
    """
    return str(read_json_object(folder / CONFIG).get("model_type", "unknown"))


def require_importable(folder: Path) -> None:
    """See that the folder's safetensors are of an architecture that can be imported.

    Raises:
        ModelError: They are not, or are those of a decoder that writes text; names it.
    """
    if is_importable(folder):
        return
    if model_type(folder) in DECODERS:
        raise ModelError(
            f"{folder} holds a {model_type(folder)} model as it was trained, which writes text: "
            f"obeaver convert {folder} makes a model of it"
        )
    read_architecture(read_json_object(folder / CONFIG))


def is_importable(folder: Path) -> bool:
    """Whether the folder's safetensors can become a model of vectors or scores.

    A decoder's can where the folder says how its vectors are made, or where its name is known.
    """
    kind = model_type(folder)
    if kind not in DECODERS:
        return kind in FAMILIES
    says = any((folder / name).is_file() for name in (MODULES, f"1_Pooling/{CONFIG}"))
    return (
        says or known_model(folder.resolve().name, read_json_object(folder / CONFIG).get("_name_or_path")) is not None
    )


def read_encoder_facts(folder: Path) -> EncoderFacts:
    """Read what the folder says. No graph is loaded.

    Raises:
        ModelError: A file is missing or broken, or a step of the model is of an unknown kind; says which.
    """
    config = read_json_object(folder / CONFIG)
    modules = _modules(folder)
    provenance = _optional(folder / PROVENANCE)
    sentence = next((_optional(folder / name) for name in _SENTENCE_CONFIGS if (folder / name).exists()), {})
    positions = _max_context(config)
    architecture = str(config.get("model_type", "unknown"))
    known = known_model(provenance.get("name"), folder.resolve().name, config.get("_name_or_path"))
    pooling = _pooling(folder, modules, architecture, known)
    return EncoderFacts(
        name=str(provenance.get("name") or folder.resolve().name),
        folder=folder,
        kind=str(provenance.get("kind") or (RERANKER if is_classifier(config) else EMBEDDING)),
        architecture=architecture,
        graph=find_graph(folder),
        context_length=_context(positions, sentence, _optional(folder / _TOKENIZER_CONFIG)),
        max_context_length=positions,
        vocab_size=_whole(config, "vocab_size", folder),
        pooling=pooling.modes,
        pools_prompt=pooling.counts_prompt,
        dense=tuple(_dense(folder / str(module["path"])) for module in modules if _kind(module) == "Dense"),
        lower_case=sentence.get("do_lower_case") is True,
        prompts=_prompts(folder, known),
        default_prompt=_optional(folder / PROMPTS).get("default_prompt_name"),
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        weights=provenance.get("weights"),
        licence=provenance.get("licence"),
        fidelity=provenance.get("fidelity"),
        pair=provenance.get("pair"),
    )


def find_graph(folder: Path) -> Path | None:
    """The folder's ONNX graph, the exact one before quantised ones; None if there is none."""
    for place in _FOLDERS:
        for name in GRAPHS:
            if (folder / place / name).is_file():
                return folder / place / name
    found = sorted(path for place in _FOLDERS for path in (folder / place).glob("*.onnx"))
    return found[0] if found else None


def source_files(folder: Path) -> list[Path]:
    """The files that an import reads, where they exist: configurations, tokenizer, safetensors."""
    return sorted({*weight_files(folder), *copied_files(folder)})


def copied_files(folder: Path) -> list[Path]:
    """What goes into an imported folder as it is: everything but the encoder's own weights."""
    paths = [path for path in folder.glob("*.json") if path.name not in {SHARD_INDEX, PROVENANCE, "store.json"}]
    for module in _modules(folder):
        path = folder / str(module["path"])
        if path != folder:
            paths += [path / name for name in (CONFIG, SINGLE_FILE) if (path / name).is_file()]
    return paths


@dataclass(frozen=True, slots=True)
class _Pooling:
    modes: tuple[str, ...]
    counts_prompt: bool = True


def _prompts(folder: Path, known: KnownModel | None) -> Mapping[str, str]:
    if not (folder / PROMPTS).exists():
        return known.prompts if known is not None else {}
    said = read_json_object(folder / PROMPTS).get("prompts") or {}
    return {str(name): str(text) for name, text in said.items()}


def _pooling(
    folder: Path, modules: Sequence[Mapping[str, Any]], architecture: str, known: KnownModel | None
) -> _Pooling:
    places = [folder / str(module["path"]) for module in modules if _kind(module) == "Pooling"]
    if not places:
        usual = "lasttoken" if architecture in _DECODERS else "mean_tokens"
        usual = usual if known is None else known.pooling
        places = [folder / "1_Pooling"] if (folder / "1_Pooling" / CONFIG).is_file() else []
        if not places:
            return _Pooling((usual,))
    config = read_json_object(places[0] / CONFIG)
    modes = _modes(config)
    unknown = [mode for mode in modes if mode not in POOLING_MODES]
    if unknown or not modes:
        raise ModelError(f"{places[0] / CONFIG}: pooling by {', '.join(unknown) or 'nothing'} is not known here")
    return _Pooling(modes, config.get("include_prompt", True) is not False)


def _modes(config: Mapping[str, Any]) -> tuple[str, ...]:
    if "pooling_mode" in config:  # the newer way to say it
        named = config["pooling_mode"]
        names = [named] if isinstance(named, str) else list(named)
        return tuple(_SHORT_NAMES.get(str(name), str(name)) for name in names)
    chosen = [key.removeprefix(_PREFIX) for key, value in config.items() if key.startswith(_PREFIX) and value is True]
    return tuple(sorted(chosen, key=lambda mode: POOLING_MODES.index(mode) if mode in POOLING_MODES else -1))


def _dense(folder: Path) -> DenseFacts:
    config = read_json_object(folder / CONFIG)
    if not (folder / SINGLE_FILE).is_file():
        raise ModelError(f"{folder} has no {SINGLE_FILE}; weights in other formats are not read")
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    return DenseFacts(folder / SINGLE_FILE, activation, config.get("bias", True) is not False)


def _modules(folder: Path) -> list[Mapping[str, Any]]:
    path = folder / MODULES
    if not path.exists():
        return []
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(item, dict) and "path" in item for item in modules):
        raise ModelError(f"{path} must hold a list of modules with a path each")
    known = {"Transformer", "Pooling", "Dense", "Normalize"}
    for module in modules:
        if _kind(module) not in known:
            raise ModelError(f"{path}: a step of the kind {_kind(module)} is not known here")
        place = Path(str(module["path"]))
        # By its words alone, as for graphs.
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"{path}: a path leads out of the folder")
    return modules


def _kind(module: Mapping[str, Any]) -> str:
    """`Pooling` of `sentence_transformers.models.Pooling`."""
    return str(module.get("type", "")).rpartition(".")[2]


def _max_context(config: Mapping[str, Any]) -> int:
    """Positions of the model; RoBERTa's begin behind the padding token's."""
    nested = config.get("text_config")
    for source in (config, nested if isinstance(nested, dict) else {}):
        for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
            value = source.get(key)
            if isinstance(value, int) and value > 0:
                shifted = "roberta" in str(config.get("model_type")) or config.get("model_type") == "camembert"
                return value - (int(config.get("pad_token_id") or 1) + 1) * shifted
    return 512


def _context(positions: int, *sources: Mapping[str, Any]) -> int:
    lengths = [source.get(key) for source in sources for key in ("max_seq_length", "model_max_length")]
    return min([positions, *(int(n) for n in lengths if isinstance(n, int | float) and 0 < n < _NO_LIMIT)])


def _whole(config: Mapping[str, Any], key: str, folder: Path) -> int:
    for source in _nested(config):
        value = source.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    raise ModelError(f"{folder / CONFIG}: {key} must be a whole number above 0")


def _nested(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield config
    if isinstance(config.get("text_config"), dict):
        yield config["text_config"]


def _optional(path: Path) -> Mapping[str, Any]:
    return read_json_object(path) if path.exists() else {}
