"""A folder with a decoder's safetensors, seen as a GGUF file: the same tensors and keys under GGUF's names.

So the rest of an import does not know what it reads. Checkpoints rotate element i of a head with i + half, whatever the
family: Llama's and Mistral's are the computation that GGUF calls `qwen2`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from obeaver.errors import ModelError
from obeaver.models.encoder.architecture import DECODERS
from obeaver.models.encoder.safetensors import Tensors, weight_files
from obeaver.models.gguf.reader import FLOAT32, FloatArray, TensorInfo

_BASE: Final = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_GEMMA: Final = _BASE | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_WHOLE: Final = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
# What vectors do not need, and what older exports stored of tables that are computed.
_UNUSED: Final = ("lm_head.weight", "rotary_emb.inv_freq")
_GEMMA_TYPE: Final = "gemma3_text"
_PREFIX: Final = "model."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as a `TensorFile`.

    Attributes:
        path: The folder.
        metadata: GGUF's keys.
        tensors: GGUF's names.
    """

    path: Path
    metadata: Mapping[str, object]
    tensors: Mapping[str, TensorInfo]
    _source: Tensors
    _names: Mapping[str, str]
    _shifted_norms: bool

    def read(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """See `TensorFile.read`."""
        values = self._source.read(self._names[name], start, stop)
        # Gemma's norms are stored as what they differ from 1 by.
        return values + np.float32(1) if self._shifted_norms and values.ndim == 1 else values


def open_checkpoint(folder: Path, config: Mapping[str, Any]) -> Checkpoint:
    """Read the header of each file.

    Args:
        folder: With safetensors.
        config: Its `config.json`.

    Raises:
        ModelError: A file is broken, or the model is of another kind; says what is not known.
    """
    source = Tensors(*weight_files(folder))
    kind = str(config.get("model_type"))
    names = dict(_named(folder, source, _GEMMA if kind == _GEMMA_TYPE else _BASE))
    tensors = {name: _info(name, source.shape(found)) for name, found in names.items()}
    keys = MappingProxyType(_keys(folder, config, kind))
    return Checkpoint(folder, keys, MappingProxyType(tensors), source, names, kind == _GEMMA_TYPE)


def _named(folder: Path, source: Tensors, parts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """GGUF's name of each tensor, and its own."""
    for found in source.names():
        name = found.removeprefix(_PREFIX)
        if name in _WHOLE:
            yield _WHOLE[name], found
        elif not name.endswith(_UNUSED):
            yield _name_in_layer(folder, name, parts), found


def _name_in_layer(folder: Path, name: str, parts: Mapping[str, str]) -> str:
    pieces = name.split(".")
    part, kind = ".".join(pieces[2:-1]), pieces[-1]
    if pieces[0] != "layers" or part not in parts:
        raise ModelError(f"{folder}: models with a tensor {name} are not supported")
    return f"blk.{pieces[1]}.{parts[part]}.{kind}"


def _info(name: str, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, shape, FLOAT32, 0, 0)


def _keys(folder: Path, config: Mapping[str, Any], kind: str) -> dict[str, object]:
    family = _family(folder, config, kind)
    number = partial(_number, folder, config)
    heads = number("num_attention_heads")
    width = config.get("head_dim") or int(number("hidden_size")) // int(heads)
    if config.get("query_pre_attn_scalar", width) != width:
        raise ModelError(f"{folder}: a query_pre_attn_scalar other than the width of a head is not supported")
    found: dict[str, object] = {
        "block_count": number("num_hidden_layers"),
        "context_length": number("max_position_embeddings"),
        "embedding_length": number("hidden_size"),
        "feed_forward_length": number("intermediate_size"),
        "attention.head_count": heads,
        "attention.head_count_kv": config.get("num_key_value_heads") or heads,
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_rms_epsilon": number("rms_norm_eps"),
        **_rotary(folder, config),
        **_windows(config, kind),
    }
    return {"general.architecture": family} | {f"{family}.{key}": value for key, value in found.items()}


def _family(folder: Path, config: Mapping[str, Any], kind: str) -> str:
    if kind not in DECODERS:
        raise ModelError(f"{folder}: checkpoints of the architecture {kind!r} are not supported")
    if kind == _GEMMA_TYPE and config.get("use_bidirectional_attention") is True:
        return "gemma-embedding"
    return DECODERS[kind]


def _number(folder: Path, config: Mapping[str, Any], key: str) -> int | float:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ModelError(f"{folder / 'config.json'}: {key} must be a number above 0")
    return value


def _rotary(folder: Path, config: Mapping[str, Any]) -> dict[str, object]:
    """Base of the rotary embedding, where older and newer configurations have it."""
    parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
    parameters = parameters.get("full_attention", parameters)
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind != "default":
        raise ModelError(f"{folder}: rope scaling of the kind {kind!r} is not supported in checkpoints")
    return {"rope.freq_base": float(parameters.get("rope_theta", config.get("rope_theta", 10000.0)))}


def _windows(config: Mapping[str, Any], kind: str) -> dict[str, object]:
    window = config.get("sliding_window")
    if not isinstance(window, int) or config.get("use_sliding_window") is False:
        return {}
    if kind != _GEMMA_TYPE:
        return {"attention.sliding_window": window}
    kinds = config.get("layer_types")
    flags = [one == "sliding_attention" for one in kinds] if isinstance(kinds, list) else None
    every = config.get("sliding_window_pattern", config.get("_sliding_window_pattern", 6))
    local = config.get("rope_local_base_freq", 10000.0)
    nested = (config.get("rope_parameters") or {}).get("sliding_attention", {})
    return {
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": flags or every,
        "rope.freq_base_swa": float(nested.get("rope_theta", local)),
    }
