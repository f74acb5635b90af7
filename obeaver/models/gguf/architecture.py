"""A model that a GGUF file holds, in one value: `description.py` reads it, everything else is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from obeaver.models.gguf.families import Family
from obeaver.models.gguf.rope import Rope

# onnxruntime's attention takes heads of a multiple of this; narrower ones are padded with zeros.
_HEAD_UNIT: Final = 16


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What layers of one model may differ in.

    Attributes:
        window: Tokens that attention looks back over, itself included, or half so many to each side in a model that is
            not causal; None is all.
        rope: None is no rotary embedding.
    """

    window: int | None
    rope: Rope | None


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts in place of each feed-forward network.

    Attributes:
        count: Experts.
        used: So many, the likeliest, are computed for each token; their shares of the sum are the softmax over them.
        ffn_size: Width of each.
    """

    count: int
    used: int
    ffn_size: int


@dataclass(frozen=True, slots=True)
class Temperature:
    """Queries multiplied by 1 + slope * log(1 + floor(position / step)).

    Attributes:
        slope: See above.
        step: In tokens.
    """

    slope: float
    step: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Where a matrix of the computation lies in the file.

    Attributes:
        tensor: Name of the tensor in its layer, such as `attn_qkv`, without `.weight`.
        start: Its first row there.
        rows: How many.
        columns: How many.
    """

    tensor: str
    start: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A transformer with grouped-query attention, which writes text or makes vectors of it.

    Attributes:
        name: GGUF's name of the family.
        family: What its models have in common.
        head_dim: Elements of a head, in the file.
        pairs: Elements 2i and 2i + 1 of a head rotate together in the file; else i and i + half.
        layers: The kind of each layer.
        matrices: Where each matrix of a layer lies, by its name in the computation, such as `attn_q`.
        vectors: Shapes of the other tensors of a layer, norms and biases, by their names, such as `attn_norm.weight`.
        experts: None is a feed-forward network in each layer.
        attention_scale: Scores are multiplied by this.
        attention_cap: Scores s become cap * tanh(s / cap); 0 is none.
        logit_cap: The same for logits.
        embedding_scale: Embeddings are multiplied by this.
        residual_scale: What every part adds is multiplied by this.
        logit_scale: Logits are multiplied by this.
        temperature: None is none.
        tied_head: The head is the embedding.
        causal: Each token sees those before it; else all tokens of the text.
    """

    name: str
    family: Family
    num_layers: int
    hidden_size: int
    ffn_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    pairs: bool
    vocab_size: int
    context_length: int
    norm_epsilon: float
    layers: tuple[LayerKind, ...]
    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, tuple[int, ...]]
    experts: Experts | None
    attention_scale: float
    attention_cap: float
    logit_cap: float
    embedding_scale: float
    residual_scale: float
    logit_scale: float
    temperature: Temperature | None
    tied_head: bool
    causal: bool

    @property
    def head_width(self) -> int:
        """Elements of a head in the graph: `head_dim`, padded to what the kernels take."""
        return -(-self.head_dim // _HEAD_UNIT) * _HEAD_UNIT

    @property
    def q_size(self) -> int:
        """Width of all query heads together, in the graph."""
        return self.num_heads * self.head_width

    @property
    def kv_size(self) -> int:
        """Width of all key heads together, or of all value heads, in the graph."""
        return self.num_kv_heads * self.head_width

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The rotary embeddings of the layers, each once."""
        return tuple(dict.fromkeys(kind.rope for kind in self.layers if kind.rope is not None))

    @property
    def rotated_width(self) -> int:
        """Elements of a head that rotate, in layers where any do."""
        return self.ropes[0].width if self.ropes else self.head_dim
