"""What a GGUF file's metadata and tensor table say about the model, checked and in one value.

Key names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Whatever this project cannot compute exactly is
refused by name, never left out: an unknown architecture, a kind of rope scaling, a tensor that nothing would use.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from obeaver.errors import ModelError
from obeaver.models.gguf.reader import SUPPORTED_TYPES, GgufFile

ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")

# Bounds on what a header may ask for, far above any model of these families.
_MAX_CONTEXT: Final = 1 << 20
_MAX_HEAD_DIM: Final = 512


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding.

    Attributes:
        base: Theta.
        position_scale: Positions are multiplied by this (linear scaling); 1 is none.
        factors: Name of a tensor [head_dim / 2] that divides the frequencies (Llama 3.1), or None.
        interleaved: The file's query and key rows are ordered for pairs (2i, 2i + 1) instead of (i, i + head_dim / 2).
    """

    base: float
    position_scale: float
    factors: str | None
    interleaved: bool


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder-only transformer with RMSNorm, grouped-query attention, RoPE and SwiGLU.

    Attributes:
        name: GGUF's name of the family.
        window: Tokens that attention looks back over, itself included; None is all.
        qk_norm: Queries and keys pass an RMSNorm of their own, per head, before RoPE.
        biases: The projections that have a bias in every layer, such as `attn_q`.
        tied_head: The head is the embedding.
    """

    name: str
    num_layers: int
    hidden_size: int
    ffn_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    norm_epsilon: float
    rope: Rope
    window: int | None
    qk_norm: bool
    biases: frozenset[str]
    tied_head: bool

    @property
    def q_size(self) -> int:
        """Width of all query heads together."""
        return self.num_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of all key heads together, or of all value heads."""
        return self.num_kv_heads * self.head_dim


# Name of each matrix of a layer, and what its rows and columns are.
_PROJECTIONS: Final[tuple[tuple[str, Callable[[Architecture], tuple[int, int]]], ...]] = (
    ("attn_q", lambda model: (model.q_size, model.hidden_size)),
    ("attn_k", lambda model: (model.kv_size, model.hidden_size)),
    ("attn_v", lambda model: (model.kv_size, model.hidden_size)),
    ("attn_output", lambda model: (model.hidden_size, model.q_size)),
    ("ffn_gate", lambda model: (model.ffn_size, model.hidden_size)),
    ("ffn_up", lambda model: (model.ffn_size, model.hidden_size)),
    ("ffn_down", lambda model: (model.hidden_size, model.ffn_size)),
)


def read_architecture(file: GgufFile) -> Architecture:
    """Describe the model, having checked that the file holds exactly the tensors that it needs.

    Raises:
        ModelError: The architecture, one of its features, or a tensor's type or shape is not supported.
    """
    found = _Facts(file)
    architecture = found.architecture()
    _check_tensors(file, architecture)
    return architecture


class _Facts:
    """Typed look-ups in the metadata of one file."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        self._name = self._text("general.architecture")
        if self._name not in ARCHITECTURES:
            raise self._refusal(
                f"the architecture {self._name!r} is not supported, only {', '.join(ARCHITECTURES)} are"
            )

    def architecture(self) -> Architecture:
        """Put everything together."""
        self._refuse_experts()
        embedding = self._embedding_shape()
        num_heads = self._count("attention.head_count")
        return Architecture(
            name=self._name,
            num_layers=self._count("block_count"),
            hidden_size=embedding[1],
            ffn_size=self._count("feed_forward_length"),
            num_heads=num_heads,
            num_kv_heads=self._kv_heads(num_heads),
            head_dim=self._head_dim(embedding[1], num_heads),
            vocab_size=embedding[0],
            context_length=self._count("context_length", most=_MAX_CONTEXT),
            norm_epsilon=self._number("attention.layer_norm_rms_epsilon"),
            rope=self._rope(),
            window=self._count("attention.sliding_window", default=0) or None,
            qk_norm=self._name == "qwen3",
            biases=frozenset(name for name, _ in _PROJECTIONS if f"blk.0.{name}.bias" in self._file.tensors),
            tied_head="output.weight" not in self._file.tensors,
        )

    def _refusal(self, why: str) -> ModelError:
        return ModelError(f"{self._file.path}: {why}")

    def _refuse_experts(self) -> None:
        if self._count("expert_count", default=0):
            raise self._refusal(f"a {self._name} model with a mixture of experts is not supported")

    def _embedding_shape(self) -> tuple[int, int]:
        info = self._file.tensors.get("token_embd.weight")
        if info is None or len(info.shape) != 2:
            raise self._refusal("it has no matrix token_embd.weight")
        if info.shape[1] != self._count("embedding_length"):
            raise self._refusal("the width of token_embd.weight is not its embedding_length")
        return info.shape[0], info.shape[1]

    def _kv_heads(self, num_heads: int) -> int:
        num_kv_heads = self._count("attention.head_count_kv", default=num_heads)
        if num_heads % num_kv_heads:
            raise self._refusal(f"{num_heads} query heads cannot share {num_kv_heads} key heads evenly")
        return num_kv_heads

    def _head_dim(self, hidden_size: int, num_heads: int) -> int:
        head_dim = self._count("attention.key_length", default=hidden_size // num_heads, most=_MAX_HEAD_DIM)
        if self._count("attention.value_length", default=head_dim) != head_dim:
            raise self._refusal("values of another width than keys are not supported")
        if self._count("rope.dimension_count", default=head_dim) != head_dim or head_dim % 2:
            raise self._refusal("rotary embedding of a part of each head is not supported")
        return head_dim

    def _rope(self) -> Rope:
        kind = self._text("rope.scaling.type", default="none", of_family=True)
        legacy = self._number("rope.scale_linear", default=1.0)
        if kind not in ("none", "linear"):
            raise self._refusal(f"rope scaling of the kind {kind!r} is not supported")
        factor = self._number("rope.scaling.factor", default=legacy) if kind == "linear" else legacy
        return Rope(
            base=self._number("rope.freq_base", default=10000.0),
            position_scale=1.0 / factor,
            factors="rope_freqs.weight" if "rope_freqs.weight" in self._file.tensors else None,
            interleaved=self._name == "llama",
        )

    def _text(self, key: str, *, default: str | None = None, of_family: bool = False) -> str:
        key = f"{self._name}.{key}" if of_family else key
        value = self._file.metadata.get(key, default)
        if not isinstance(value, str):
            raise self._refusal(f"its {key} is {_described(value)}, not a text")
        return value

    def _count(self, key: str, *, default: int | None = None, most: int = 1 << 31) -> int:
        value = self._file.metadata.get(f"{self._name}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._refusal(f"its {self._name}.{key} is {_described(value)}, not a whole number")
        if not (1 if default != 0 else 0) <= value <= most:
            raise self._refusal(f"its {self._name}.{key} is {value}, out of range")
        return value

    def _number(self, key: str, *, default: float | None = None) -> float:
        value = self._file.metadata.get(f"{self._name}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(f"its {self._name}.{key} is {_described(value)}, not a number")
        if not 0 < value < math.inf:
            raise self._refusal(f"its {self._name}.{key} is {value}, out of range")
        return float(value)


def _described(value: object) -> str:
    return "missing" if value is None else f"of the type {type(value).__name__}"


def expected_shapes(model: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that the file must have, with its shape."""
    yield "token_embd.weight", (model.vocab_size, model.hidden_size)
    yield "output_norm.weight", (model.hidden_size,)
    if not model.tied_head:
        yield "output.weight", (model.vocab_size, model.hidden_size)
    if model.rope.factors is not None:
        yield model.rope.factors, (model.head_dim // 2,)
    for layer in range(model.num_layers):
        for name, shape in _layer_shapes(model):
            yield f"blk.{layer}.{name}", shape


def _layer_shapes(model: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "attn_norm.weight", (model.hidden_size,)
    yield "ffn_norm.weight", (model.hidden_size,)
    if model.qk_norm:
        yield "attn_q_norm.weight", (model.head_dim,)
        yield "attn_k_norm.weight", (model.head_dim,)
    for name, sizes in _PROJECTIONS:
        rows, columns = sizes(model)
        yield f"{name}.weight", (rows, columns)
        if name in model.biases:
            yield f"{name}.bias", (rows,)


def _check_tensors(file: GgufFile, model: Architecture) -> None:
    unused = set(file.tensors)
    for name, shape in expected_shapes(model):
        _check_tensor(file, name, shape)
        unused.discard(name)
    if unused:
        raise ModelError(f"{file.path}: {model.name} models with a tensor {min(unused)} are not supported")


def _check_tensor(file: GgufFile, name: str, shape: tuple[int, ...]) -> None:
    info = file.tensors.get(name)
    if info is None:
        raise ModelError(f"{file.path}: the tensor {name} is missing")
    if info.shape != shape:
        raise ModelError(f"{file.path}: {name} has the shape {list(info.shape)}, expected {list(shape)}")
    if info.type not in SUPPORTED_TYPES:
        raise ModelError(f"{file.path}: {name} is stored as {info.type.name}, which is not supported")
