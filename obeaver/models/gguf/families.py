"""The families of models that can be imported from GGUF, as data: whoever adds one adds a row to `FAMILIES`.

A family is GGUF's `general.architecture`. Everything that its models have in common stands in its row; what differs
from file to file (sizes, biases, stacked matrices, a head of its own, scaling of positions) is read from the file by
`architecture.py`, whatever the family. The computations were learned from llama.cpp's sources and are checked against
its logits (docs/models.md says where).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from obeaver.models.gguf.keys import Keys

Number = Callable[[Keys], float]
"""A number that a file's keys say or imply."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Which layers look back over a window only.

    Attributes:
        every: Of so many layers in a row, the last looks back over everything; None is windows in all layers.
        default: The window where the file names none; 0 is no window.
        base: Of the rotary embedding in these layers, where the file names none; None is that of the others.
        scaled: Whether positions in these layers are scaled as in the others.
        whole_first: The first of the layers in a row looks over everything, not the last.
    """

    every: int | None = None
    default: int = 0
    base: float | None = None
    scaled: bool = True
    whole_first: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """What the models of one family have in common. What is not said is as in Llama.

    Attributes:
        rotary: What rotates together: elements 2i and 2i + 1 of a head (`pairs`), or i and i + half (`halves`); None is
            no rotary embedding.
        halves_if_sections: A file with `rope.dimension_sections`, for images, rotates halves.
        norm: RMSNorm, or LayerNorm.
        before_attention: The norm of attention's input; None is none.
        before_ffn: The norm of the feed-forward network's input; None is none.
        after_attention: A norm of what attention adds; None is none.
        after_ffn: A norm of what the feed-forward network adds; None is none.
        after_layer: A norm of the sum of a layer's input and what it adds, which the next layer adds to, as does
            `before_ffn` within the layer (BERT's order); None is none, and a norm `output_norm` after all layers.
        first_norm: Whether the first layer has the norm of attention's input, too.
        causal: Each token sees those before it, where the file does not say otherwise; else all tokens of the text,
            and windows reach to both sides, half of them to each.
        embeds: Its models make vectors of texts, and write none.
        qk_norm: Queries and keys pass a norm of their own: each head before rotation (in some families only in models
            that have its weights), each head after it, or all heads as one; None is none.
        parallel: Attention and feed-forward network read the same input, and both are added.
        activation: Of the feed-forward network.
        gated: The activation of a gate is multiplied with a second projection; else there is one projection.
        experts: The feed-forward network may be a mixture of experts, with this key for their width.
        sinks: Each head's softmax has one more term in its denominator.
        windows: None where llama.cpp looks back over everything, whatever the file says.
        unrotated_every: Every so manieth layer has no rotary embedding; 0 is none.
        rotary_if_tuned: `rope.scaling.finetuned` = false means no rotary embedding at all.
        yarn_keys: YaRN's own numbers are read from the file; else they are the usual ones.
        embedding_scale: Embeddings are multiplied by this.
        residual_scale: What every part adds is multiplied by this.
        logit_scale: Logits are multiplied by this.
        attention_scale: Scores are multiplied by this; 0 is the usual 1 / sqrt(head_dim).
        attention_cap: Scores s become cap * tanh(s / cap); 0 is none.
        logit_cap: The same for logits.
    """

    rotary: Literal["pairs", "halves"] | None = "pairs"
    halves_if_sections: bool = False
    norm: Literal["rms", "layer"] = "rms"
    before_attention: str | None = "attn_norm"
    before_ffn: str | None = "ffn_norm"
    after_attention: str | None = None
    after_ffn: str | None = None
    after_layer: str | None = None
    first_norm: bool = True
    causal: bool = True
    embeds: bool = False
    qk_norm: Literal["head", "head if any", "rotated head", "all heads"] | None = None
    parallel: bool = False
    activation: Literal["silu", "gelu", "exact gelu", "clamped swiglu"] = "silu"
    gated: bool = True
    experts: str | None = None
    sinks: bool = False
    windows: Windows | None = Windows()
    unrotated_every: int = 0
    rotary_if_tuned: bool = False
    yarn_keys: bool = False
    embedding_scale: Number = lambda _: 1.0
    residual_scale: Number = lambda _: 1.0
    logit_scale: Number = lambda _: 1.0
    attention_scale: Number = lambda _: 0.0
    attention_cap: Number = lambda _: 0.0
    logit_cap: Number = lambda _: 0.0


def _gemma_scale(layers_of_largest: int) -> Number:
    """Gemma's attention scale: the largest model's is its own (google/gemma_pytorch, gemma/config.py)."""

    def scale(keys: Keys) -> float:
        largest = keys.count("block_count") == layers_of_largest
        share = keys.count("embedding_length") // keys.count("attention.head_count")
        return float(share**-0.5) if largest else 0.0

    return scale


def _root_of_width(keys: Keys) -> float:
    return float(keys.count("embedding_length") ** 0.5)


_NORMED_SUMS: Final = Family(after_attention="post_attention_norm", after_ffn="post_ffw_norm")
_GEMMA3: Final = replace(
    _NORMED_SUMS,
    rotary="halves",
    qk_norm="head",
    activation="gelu",
    windows=Windows(every=6, base=10000.0, scaled=False),
    embedding_scale=_root_of_width,
    attention_scale=_gemma_scale(62),
    logit_cap=lambda keys: keys.optional("final_logit_softcapping"),
)
_BERT: Final = Family(
    rotary=None,
    norm="layer",
    before_attention=None,
    before_ffn="attn_output_norm",
    after_layer="layer_output_norm",
    causal=False,
    embeds=True,
    activation="exact gelu",
    gated=False,
)

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "llama": Family(experts="feed_forward_length"),
        "ernie4_5": Family(),
        "mistral3": Family(yarn_keys=True),
        "smollm3": Family(unrotated_every=4),
        "granite": Family(
            rotary_if_tuned=True,
            embedding_scale=lambda keys: keys.factor("embedding_scale"),
            residual_scale=lambda keys: keys.factor("residual_scale"),
            logit_scale=lambda keys: 1 / keys.number("logit_scale"),
            attention_scale=lambda keys: keys.optional("attention.scale"),
        ),
        "minicpm": Family(
            embedding_scale=lambda keys: keys.factor("embedding_scale", default=12.0),
            residual_scale=lambda keys: keys.factor("residual_scale", default=1.4 * keys.count("block_count") ** -0.5),
            logit_scale=lambda keys: 1 / keys.number("logit_scale", default=256 / keys.count("embedding_length")),
        ),
        "command-r": Family(
            norm="layer",
            before_ffn=None,
            qk_norm="head if any",
            parallel=True,
            logit_scale=lambda keys: keys.factor("logit_scale"),
        ),
        "glm4": replace(_NORMED_SUMS, halves_if_sections=True),
        "qwen2": Family(rotary="halves"),
        "qwen2vl": Family(rotary="halves"),
        "exaone": Family(rotary="halves"),
        "seed_oss": Family(rotary="halves", before_ffn="post_attention_norm"),
        "qwen3": Family(rotary="halves", qk_norm="head"),
        "qwen3vl": Family(rotary="halves", qk_norm="head"),
        "qwen3moe": Family(rotary="halves", qk_norm="head", experts="expert_feed_forward_length"),
        "hunyuan-dense": Family(rotary="halves", qk_norm="rotated head"),
        "phi3": Family(rotary="halves", windows=None),
        "starcoder2": Family(rotary="halves", norm="layer", activation="gelu", gated=False),
        "olmo2": replace(
            _NORMED_SUMS,
            rotary="halves",
            before_attention=None,
            before_ffn=None,
            qk_norm="all heads",
            windows=Windows(every=4, scaled=False),
        ),
        "gemma2": replace(
            _NORMED_SUMS,
            rotary="halves",
            activation="gelu",
            windows=Windows(every=2, default=4096),
            embedding_scale=_root_of_width,
            attention_scale=_gemma_scale(46),
            attention_cap=lambda keys: keys.factor("attn_logit_softcapping", default=50.0),
            logit_cap=lambda keys: keys.factor("final_logit_softcapping", default=30.0),
        ),
        "gemma3": _GEMMA3,
        "gpt-oss": Family(
            rotary="halves",
            before_ffn="post_attention_norm",
            activation="clamped swiglu",
            experts="expert_feed_forward_length",
            sinks=True,
            windows=Windows(every=2),
        ),
        "gemma-embedding": replace(_GEMMA3, causal=False, embeds=True),
        "bert": _BERT,
        "nomic-bert": replace(_BERT, rotary="halves", activation="silu", gated=True),
        "modern-bert": Family(
            rotary="halves",
            norm="layer",
            first_norm=False,
            causal=False,
            embeds=True,
            activation="exact gelu",
            windows=Windows(every=3, base=10000.0, whole_first=True),
        ),
    }
)

ARCHITECTURES: Final = tuple(FAMILIES)
"""The values of `general.architecture` that can be imported."""
