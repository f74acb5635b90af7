"""Decoders as transformers.js has them: `config.json`, a tokenizer, and graphs in `onnx/`, each in another format.

Optimum or onnxruntime-genai's builder exported them. Such a folder lacks one file to be a model folder,
`genai_config.json`. What stands in it follows from their `config.json` and `generation_config.json`, and from what the
graph takes and gives; the graph itself stays as it is.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from obeaver.errors import ModelError
from obeaver.model_files import read_json_object
from obeaver.models.encoder.architecture import DECODERS
from obeaver.models.encoder.layout import is_importable
from obeaver.models.facts import CONFIG, is_model_folder
from obeaver.onnx_outline import Value, read_nodes, read_values

THEIR_CONFIG: Final = "config.json"
_GENERATION: Final = "generation_config.json"
_TOKENIZER: Final = "tokenizer.json"

EXPORTS: Final = (
    *("model_q4.onnx", "model_quantized.onnx", "model_q8.onnx", "model_int8.onnx", "model_uint8.onnx"),
    *("model.onnx", "model_q4f16.onnx", "model_fp16.onnx", "model_bnb4.onnx"),
)
"""Names of graphs, best first for a CPU: blocks of 4 bits run on the faster runner and take least memory; float16 is
computed in float32 there, behind a conversion of every weight."""

_PLACES: Final = ("onnx", "")
_WRITES_TEXT: Final = "ForCausalLM"
_CACHE: Final = re.compile(r"past_key_values\.(\d+)\.(key|value)")
_SMALL_INPUTS: Final = ("input_ids", "attention_mask", "position_ids")
_REASONS: Final[Mapping[str, str]] = {
    "use_cache_branch": "is two graphs in one, as transformers.js 2 had them",
    "inputs_embeds": "takes embeddings in place of tokens, as those of models with images or sound do",
}
_TYPES: Final = frozenset(
    {"ernie4_5", "gemma", "gemma2", "gemma3_text", "granite", "internlm2", "llama", "mistral", "nemotron", "olmo"}
    | {"phi", "phi3", "phimoe", "qwen2", "qwen3", "smollm3"}
)
"""Those that onnxruntime-genai 0.18 knows and runs alike; it refuses others."""

_ANY_TYPE: Final = "decoder"
_INSTEAD: Final = "look for a GGUF file of the model, or take its checkpoint and run `obeaver convert`"


def writes_text(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is one of a decoder with a head for tokens."""
    names = config.get("architectures")
    if config.get("model_type") in DECODERS:
        return True
    return isinstance(names, list) and any(isinstance(name, str) and name.endswith(_WRITES_TEXT) for name in names)


def graph_among(names: Sequence[str]) -> str | None:
    """The best of the graphs among some paths; None where there is none."""
    places = [f"{place}/{name}" if place else name for name in EXPORTS for place in _PLACES]
    return next((place for place in places if place in names), None)


def variant_of(graph: str) -> str:
    """`q4` of `onnx/model_q4.onnx`, `fp32` of `onnx/model.onnx`."""
    return Path(graph).stem.removeprefix("model").strip("_-.") or "fp32"


def files_beside(graph: str, names: Sequence[str]) -> list[str]:
    """Those of some paths that are served with a graph: configurations, tokenizer, template, and the graph's data."""
    small = [name for name in names if "/" not in name and name.endswith((".json", ".jinja", ".model"))]
    return [*small, graph, *(name for name in names if name.startswith((f"{graph}_data", f"{graph}.data")))]


def export_in(folder: Path) -> Path | None:
    """The best graph of a folder of this kind; None for any other folder."""
    if is_model_folder(folder) or not (folder / THEIR_CONFIG).is_file():
        return None
    found = graph_among([path.relative_to(folder).as_posix() for path in _graphs(folder)])
    if found is None or is_importable(folder):
        return None
    graph = folder / found
    return graph if _makes_tokens(graph, writes_text(read_json_object(folder / THEIR_CONFIG))) else None


def folder_of(graph: Path) -> Path | None:
    """The folder of this kind that a graph belongs to; None where it is none."""
    for folder in (graph.parent, graph.parent.parent):
        if graph.suffix == ".onnx" and export_in(folder) is not None:
            return folder
    return None


def genai_config(folder: Path, graph: Path) -> dict[str, Any]:
    """What onnxruntime-genai wants to know of a model.

    Args:
        folder: The model's.
        graph: Its graph, in the folder or below.

    Raises:
        ModelError: A configuration is missing or broken, or the graph cannot be run; says why and what helps.
    """
    if not (folder / _TOKENIZER).is_file():
        raise ModelError(f"{folder} is no complete model folder: {_TOKENIZER} is missing")
    config = _Config(folder / THEIR_CONFIG)
    generation = read_json_object(folder / _GENERATION) if (folder / _GENERATION).is_file() else {}
    context = config.whole("max_position_embeddings", "n_positions", "max_sequence_length")
    ids = {name: generation.get(name, config.get(name)) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    ends = ids["eos_token_id"] if isinstance(ids["eos_token_id"], list) else [ids["eos_token_id"]]
    if not ends or not all(isinstance(end, int) for end in ends):
        raise ModelError(f"{folder / THEIR_CONFIG}: eos_token_id must be a token id or a list of them")
    return {
        "model": {
            "type": kind if (kind := config.text("model_type")) in _TYPES else _ANY_TYPE,
            "vocab_size": config.whole("vocab_size"),
            "context_length": context,
            "eos_token_id": ends,
            **{name: ends[0] if ids[name] is None else ids[name] for name in ("bos_token_id", "pad_token_id")},
            "decoder": _decoder(folder, graph, config),
        },
        "search": {
            "max_length": context,
            "do_sample": False,
            "past_present_share_buffer": _shares_buffers(graph),
        },
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Make a folder of this kind a model folder. Their `config.json` goes: it would make it an encoder's too."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / THEIR_CONFIG).unlink()


class _Config:
    """Their `config.json`; of a model of several parts, the text part's values count too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = read_json_object(path)
        nested = data.get("text_config")
        self._sources = [data, nested if isinstance(nested, dict) else {}]

    def get(self, key: str) -> Any:
        return next((source[key] for source in self._sources if source.get(key) is not None), None)

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise ModelError(f"{self._path}: {key} must be a string")
        return value

    def whole(self, *keys: str) -> int:
        """The first of some keys that is there."""
        value = next((self.get(key) for key in keys if self.get(key) is not None), None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(f"{self._path}: {keys[0]} must be a whole number above 0")
        return value


def _decoder(folder: Path, graph: Path, config: _Config) -> dict[str, Any]:
    inputs, outputs = _signature(graph)
    caches = [value for name, value in inputs.items() if _CACHE.fullmatch(name)]
    num_layers = _num_layers(graph, inputs, outputs)
    heads = config.whole("num_attention_heads", "n_head")
    _, kv_heads, _, head_size = caches[0].shape
    named = {name: name for name in _SMALL_INPUTS if name in inputs}
    cache = {f"past_{part}_names": f"past_key_values.%d.{part}" for part in ("key", "value")}
    return {
        "filename": graph.relative_to(folder).as_posix(),
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "hidden_size": config.whole("hidden_size", "n_embd"),
        "head_size": head_size or _head_size(config, heads),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads or config.get("num_key_value_heads") or heads,
        "num_hidden_layers": num_layers,
        "inputs": {**named, **cache},
        "outputs": {"logits": "logits", **{f"present_{part}_names": f"present.%d.{part}" for part in ("key", "value")}},
    }


def _head_size(config: _Config, heads: int) -> int:
    return config.whole("head_dim") if config.get("head_dim") else config.whole("hidden_size", "n_embd") // heads


def _num_layers(graph: Path, inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> int:
    """How many layers have a cache.

    Raises:
        ModelError: The graph takes or gives something else than a decoder with a cache does.
    """
    strange = [name for name in inputs if name not in _SMALL_INPUTS and not _CACHE.fullmatch(name)]
    if strange:
        reason = next((_REASONS[name] for name in strange if name in _REASONS), f"has an input {strange[0]}")
        raise _cannot_run(graph, reason)
    num_layers = sum(name not in _SMALL_INPUTS for name in inputs) // 2
    parts = [f"{layer}.{part}" for layer in range(num_layers) for part in ("key", "value")]
    caches = [f"past_key_values.{part}" for part in parts]
    if not caches:
        raise _cannot_run(graph, "keeps no keys and values, so that each token would cost the whole text")
    missing = [name for name in ("input_ids", "attention_mask", *caches) if name not in inputs]
    missing += [name for name in ("logits", *(f"present.{part}" for part in parts)) if name not in outputs]
    if missing:
        raise _cannot_run(graph, f"has no {missing[0]}")
    if any(len(inputs[name].shape) != 4 for name in caches):
        raise _cannot_run(graph, "has caches that are not [batch, heads, tokens, size]")
    return num_layers


def _signature(graph: Path) -> tuple[dict[str, Value], dict[str, Value]]:
    try:
        inputs, outputs = read_values(graph)
    except (OSError, ValueError) as error:
        raise ModelError(f"{graph} cannot be read: {error}") from error
    return {value.name: value for value in inputs}, {value.name: value for value in outputs}


def _shares_buffers(graph: Path) -> bool:
    """Whether keys and values are written into the buffer that they are read from, as one operator alone can."""
    return any(node.op_type == "GroupQueryAttention" for node in read_nodes(graph))


def _makes_tokens(graph: Path, likely: bool) -> bool:
    """Whether a graph has a cache, or else at least logits where its configuration speaks of tokens."""
    try:
        inputs, outputs = read_values(graph)
    except (OSError, ValueError):
        return likely
    has_cache = any(_CACHE.fullmatch(value.name) for value in inputs)
    return has_cache or (likely and any(value.name == "logits" for value in outputs))


def _graphs(folder: Path) -> list[Path]:
    return [path for place in _PLACES for path in (folder / place).glob("*.onnx")]


def _cannot_run(graph: Path, reason: str) -> ModelError:
    return ModelError(f"{graph} cannot be run: it {reason}; {_INSTEAD}")
