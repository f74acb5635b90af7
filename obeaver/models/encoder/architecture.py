"""Encoders of BERT's kind: their sizes from `config.json`, and where their weights are called what.

All of them are the same computation: embeddings, then layers of attention and a feed-forward block, each followed by a
LayerNorm of the sum. They differ in names, in where positions begin, and in the head of a classifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from obeaver.errors import ModelError

ACTIVATIONS: Final = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


@dataclass(frozen=True, slots=True)
class Names:
    """What a family calls its weights; `{}` is the layer's index."""

    prefix: str
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str


_BERT_LAYER: Final = {
    "layer": "encoder.layer.{}",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_DISTILBERT: Final = Names(
    prefix="distilbert.",
    layer="transformer.layer.{}",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    output_norm="output_layer_norm",
)
FAMILIES: Final[Mapping[str, Names]] = {
    "bert": Names(prefix="bert.", **_BERT_LAYER),
    "roberta": Names(prefix="roberta.", **_BERT_LAYER),
    "xlm-roberta": Names(prefix="roberta.", **_BERT_LAYER),
    "camembert": Names(prefix="roberta.", **_BERT_LAYER),
    "distilbert": _DISTILBERT,
}
DECODERS: Final[Mapping[str, str]] = {
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "llama": "qwen2",
    "mistral": "qwen2",
    "gemma3_text": "gemma3",
}
"""Decoders whose safetensors can be imported as a model of vectors, with GGUF's name of the computation."""

IMPORTABLE: Final = (*FAMILIES, *DECODERS)
"""Values of `model_type` whose safetensors can be imported."""

# DistilBERT's configuration has names of its own.
_SIZES: Final = {
    "hidden_size": ("hidden_size", "dim"),
    "num_layers": ("num_hidden_layers", "n_layers"),
    "num_heads": ("num_attention_heads", "n_heads"),
    "intermediate_size": ("intermediate_size", "hidden_dim"),
    "vocab_size": ("vocab_size",),
    "num_positions": ("max_position_embeddings",),
}


@dataclass(frozen=True, slots=True)
class EncoderArchitecture:
    """What has to be known to build the graph.

    Attributes:
        family: A key of `FAMILIES`.
        names: What the weights are called.
        hidden_size: Of a token.
        num_layers: Layers.
        num_heads: Of attention.
        intermediate_size: Of the feed-forward block.
        vocab_size: Rows of the embeddings.
        num_positions: Longest text in tokens.
        first_position: Row of the first token's position; RoBERTa's begin behind the padding token's.
        norm_epsilon: Of every LayerNorm.
        activation: `gelu`, `gelu_tanh` or `relu`.
        is_classifier: It scores texts or pairs of texts.
    """

    family: str
    names: Names
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocab_size: int
    num_positions: int
    first_position: int
    norm_epsilon: float
    activation: str
    is_classifier: bool


def read_architecture(config: Mapping[str, Any]) -> EncoderArchitecture:
    """Understand a `config.json`.

    Raises:
        ModelError: It is another kind of model, or lacks a size; names it.
    """
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise ModelError(
            f"safetensors of the architecture {family!r} cannot be imported (known: {', '.join(IMPORTABLE)}); "
            "a folder that holds an ONNX export can be served"
        )
    position_type = config.get("position_embedding_type", "absolute")
    if position_type != "absolute":
        raise ModelError(f"position embeddings of the type {position_type!r} cannot be imported")
    activation = config.get("hidden_act", config.get("activation", "gelu"))
    if activation not in ACTIVATIONS:
        raise ModelError(f"the activation {activation!r} cannot be imported")
    sizes = {field: _size(config, *names) for field, names in _SIZES.items()}
    first = config.get("pad_token_id", 1) + 1 if FAMILIES[family].prefix == "roberta." else 0
    sizes["num_positions"] -= first
    return EncoderArchitecture(
        family=family,
        names=FAMILIES[family],
        first_position=first,
        norm_epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=ACTIVATIONS[activation],
        is_classifier=is_classifier(config),
        **sizes,
    )


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a model that scores texts."""
    names = config.get("architectures") or []
    return any(str(name).endswith("ForSequenceClassification") for name in names)


def _size(config: Mapping[str, Any], *names: str) -> int:
    value = next((config[name] for name in names if name in config), None)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"config.json: {names[0]} must be a whole number above 0")
    return value
