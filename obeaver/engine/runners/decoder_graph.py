"""What a decoder graph takes and gives, and whether it is of the kind that rows of different lengths can share.

The conventions are those of onnxruntime-genai's model builder:

    input_ids, attention_mask[, position_ids][, logits_from]      int64
    past_key_values.N.key / .value -> present.N.key / .value      [batch, num_kv_heads, tokens, head_dim]
    logits                                                        [batch, tokens or 1, vocab_size]

`logits_from` is our own imports': the first position whose logits are computed. The builder gives the last dimension of
a float32 cache a name in place of a number; the configuration beside the graph knows the number.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from obeaver.engine.runners.layer_parts import GIVEN, KEPT, NUM_PARTS, PARTS, computes_input, given_input
from obeaver.engine.runners.prompt_attention import INPUTS as PROMPT_INPUTS
from obeaver.engine.runners.prompt_attention import IS_PROMPT
from obeaver.engine.runners.runner import KvLayout
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.onnx_outline import Node

_FLOATS: Final[Mapping[str, type[np.generic]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_KV_TYPES: Final[Mapping[str, type[np.generic]]] = {**_FLOATS, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}

_ATTENTION: Final = "GroupQueryAttention"
_ATTENTION_BIAS_INPUT: Final = 10
_EXPERTS: Final = frozenset({"MoE", "QMoE"})
_EXACT_EXPERTS: Final = 2
"""Experts of a token that these operators add up to the same bits whatever other tokens chose; our imports give one."""
_FEW_BITS: Final = 4
_DEFAULT_BITS: Final = 4
"""Of MatMulNBits, where a node does not say."""
_SMALL_INPUTS: Final = frozenset({"input_ids", "attention_mask", "position_ids", "logits_from"})
_OTHER_INPUTS: Final = _SMALL_INPUTS | PROMPT_INPUTS
_REQUIRED_INPUTS: Final = ("input_ids", "attention_mask")
_PAST: Final = re.compile(r"past_key_values\.(\d+)\.(key|value)")

_OBSTACLES: Final[Mapping[str, str]] = {
    "If": "its graph branches on the longest row's length",
    "DynamicQuantizeLinear": "it quantises activations of all rows together, so rows would change each other",
    "DynamicQuantizeMatMul": "it quantises activations of all rows together, so rows would change each other",
    "MultiHeadAttention": "it uses MultiHeadAttention",
    "PagedAttention": "it uses PagedAttention",
    "Attention": "it uses Attention",
}


class TensorInfo(Protocol):
    """A graph input or output as an ONNX Runtime session describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Such as `tensor(float)`."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Numbers, or names of dimensions that vary."""


@dataclass(frozen=True, slots=True)
class DecoderGraph:
    """What a runner has to bind.

    Attributes:
        num_layers: Pairs of caches.
        num_kv_heads: Heads of each cache.
        head_dim: Elements of one head of one token.
        kv_type: Element type of the caches.
        vocab_size: Width of the logits.
        logits_type: float32 or float16.
        attends_prompts_in_float: Whether prompts are computed in another way than what is decoded (`prompt_attention`).
        num_parts: Most parts that a chunk of a prompt can be computed in (`layer_parts`).
        num_given: Tensors that a part is given.
        hidden_size: Their width.
        has_position_ids: Whether `position_ids` is an input.
        has_logits_from: Whether `logits_from` is an input.
        has_pruned_head: Whether only the last position's logits come out.
        min_cache_tokens: The caches must have room for so many tokens, however few there are.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    kv_type: type[np.generic]
    vocab_size: int
    logits_type: type[np.generic]
    attends_prompts_in_float: bool
    num_parts: int
    num_given: int
    hidden_size: int
    has_position_ids: bool
    has_logits_from: bool
    has_pruned_head: bool
    min_cache_tokens: int

    @property
    def attention(self) -> str:
        """For people: what it reads, and how prompts read it."""
        cache = f"{np.dtype(self.kv_type).name} KV"
        return f"{cache}, prompts in float32" if self.attends_prompts_in_float else cache

    @property
    def decodes_ahead(self) -> bool:
        """Whether attention for one token is bit-equal to that for several.

        So it is with quantised caches. Over float caches, a single token's matrix products add up in another order.
        """
        return self.kv_type in (np.int8, np.uint8)

    def num_logits(self, num_tokens: int, logits_from: int) -> int:
        """How many tokens' logits come out of a chunk of so many, where those from one of its tokens on are wanted.

        Args:
            num_tokens: Of the chunk.
            logits_from: Which of them is the first; may count from the end.
        """
        if self.has_pruned_head:
            return 1
        return len(range(num_tokens)[logits_from:]) if self.has_logits_from else num_tokens

    @property
    def decodes_as_prefill(self) -> bool:
        """Whether that is also bit-equal to how prompts are computed."""
        return self.decodes_ahead and not self.attends_prompts_in_float

    @property
    def cache_names(self) -> list[tuple[str, str]]:
        """Input and output of each cache: layer 0's key and value, then layer 1's."""
        names = [f"{layer}.{which}" for layer in range(self.num_layers) for which in ("key", "value")]
        return [(f"past_key_values.{name}", f"present.{name}") for name in names]

    @property
    def kv_layout(self) -> KvLayout:
        """What one token leaves in all caches."""
        return KvLayout(self.num_layers, self.num_kv_heads, self.head_dim, np.dtype(self.kv_type).name)

    @property
    def float_bytes_per_token(self) -> int:
        """Bytes of one token in the two caches of one layer, as float32."""
        return 2 * self.num_kv_heads * self.head_dim * np.dtype(np.float32).itemsize

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of one token in all caches."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * np.dtype(self.kv_type).itemsize


def check_operators(nodes: Sequence[Node]) -> None:
    """Refuse what cannot be run; possible before the weights are loaded.

    Raises:
        CannotRun: It is not of this kind; the text completes "cannot run this model: ".
    """
    for node in nodes:
        if node.op_type in _OBSTACLES:
            raise CannotRun(_OBSTACLES[node.op_type])
        if node.op_type == _ATTENTION and any(node.inputs[_ATTENTION_BIAS_INPUT : _ATTENTION_BIAS_INPUT + 1]):
            raise CannotRun("its attention takes a bias")
        if node.op_type in _EXPERTS and node.ints.get("k", 1) > _EXACT_EXPERTS:
            raise CannotRun("the order in which it adds up a token's experts depends on other rows")
    if not any(node.op_type == _ATTENTION for node in nodes):
        raise CannotRun(f"its graph has no {_ATTENTION}")


def has_few_bits(nodes: Iterable[Node]) -> bool:
    """Whether some of the weights have 4 bits."""
    return any(node.op_type == "MatMulNBits" and node.ints.get("bits", _DEFAULT_BITS) <= _FEW_BITS for node in nodes)


def describe(
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    nodes: Sequence[Node],
    *,
    head_size: int | None = None,
) -> DecoderGraph:
    """Read what a graph takes and gives.

    Args:
        inputs: Of the session.
        outputs: Of the session.
        nodes: Of the graph.
        head_size: Elements of one head, for a graph that does not say it.

    Raises:
        CannotRun: As `check_operators`.
    """
    by_name = {tensor.name: tensor for tensor in inputs}
    _check_inputs(by_name)
    caches = {name: tensor for name, tensor in by_name.items() if not _is_other(name)}
    num_layers = len(caches) // 2
    num_attentions = sum(node.op_type == _ATTENTION for node in nodes)
    if num_attentions != num_layers:
        raise CannotRun(f"its graph has {num_attentions} {_ATTENTION} for {num_layers} layers of cache")
    kv_type, num_kv_heads, head_dim = _cache_kind(caches, num_layers, head_size)
    logits = _logits(outputs, {f"present.{name.removeprefix('past_key_values.')}" for name in caches})
    logits_type = _FLOATS[logits.type]
    if kv_type is np.float16 and logits_type is not np.float16:
        raise CannotRun("its caches round what they store, so answers would depend on how a prompt is cut")
    return DecoderGraph(
        num_layers=num_layers,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        kv_type=kv_type,
        vocab_size=_size(logits.shape[-1], "the vocabulary's size"),
        logits_type=logits_type,
        attends_prompts_in_float=IS_PROMPT in by_name,
        num_parts=NUM_PARTS if computes_input(0) in by_name else 1,
        num_given=sum(name.startswith(GIVEN) for name in by_name) // (NUM_PARTS - 1),
        hidden_size=_size(by_name[given].shape[-1], "its width") if (given := given_input(1, 0)) in by_name else 0,
        has_position_ids="position_ids" in by_name,
        has_logits_from="logits_from" in by_name,
        has_pruned_head=logits.shape[1] == 1,
        min_cache_tokens=max(map(_evicting_window, nodes), default=0),
    )


def _evicting_window(node: Node) -> int:
    """The window of an attention whose cache may be as short as that; 0 for other nodes.

    Such a cache (GroupQueryAttention's attribute `sliding_window_cache`) forgets what left the window only when it is
    full, so one with room for all tokens is a plain cache. But the kernel refuses one that is shorter than the window.
    """
    return node.ints.get("local_window_size", 0) if node.ints.get("sliding_window_cache") else 0


def _is_other(name: str) -> bool:
    """Whether an input is no cache."""
    return name in _OTHER_INPUTS or name.startswith((GIVEN, KEPT, PARTS))


def _check_inputs(inputs: Mapping[str, TensorInfo]) -> None:
    for name in _REQUIRED_INPUTS:
        if name not in inputs:
            raise CannotRun(f"its graph has no input {name}")
    for name, tensor in inputs.items():
        if name in _SMALL_INPUTS and tensor.type != "tensor(int64)":
            raise CannotRun(f"its input {name} is not int64")
        if not _is_other(name) and not _PAST.fullmatch(name):
            raise CannotRun(f"its graph has an input {name}")
    batch = inputs["input_ids"].shape[0]
    if isinstance(batch, int):
        raise CannotRun(f"its batch size is fixed at {batch}")


def _cache_kind(
    caches: Mapping[str, TensorInfo], num_layers: int, head_size: int | None
) -> tuple[type[np.generic], int, int]:
    expected = {f"past_key_values.{layer}.{which}" for layer in range(num_layers) for which in ("key", "value")}
    if set(caches) != expected:
        raise CannotRun("its caches are not numbered in pairs from 0")
    kinds = {(tensor.type, tensor.shape[1], tensor.shape[3]) for tensor in caches.values()}
    if len(kinds) > 1:
        raise CannotRun("its layers have caches of different kinds")
    element, heads, head_dim = kinds.pop()
    if element not in _KV_TYPES:
        raise CannotRun(f"its caches are of {element}")
    if any(isinstance(tensor.shape[2], int) for tensor in caches.values()):
        raise CannotRun("its caches have a fixed length")
    # Only where an element is a byte or more does the configuration's number of elements fit: smaller ones are packed.
    if not isinstance(head_dim, int) and head_size and element != "tensor(uint8)":
        head_dim = head_size
    return _KV_TYPES[element], _size(heads, "the number of cache heads"), _size(head_dim, "the size of a cache head")


def _logits(outputs: Sequence[TensorInfo], presents: set[str]) -> TensorInfo:
    by_name = {tensor.name: tensor for tensor in outputs}
    if missing := sorted({"logits", *presents} - set(by_name)):
        raise CannotRun(f"its graph has no output {missing[0]}")
    logits = by_name["logits"]
    if logits.type not in _FLOATS or len(logits.shape) != 3:
        raise CannotRun(f"its logits are {logits.type} of {len(logits.shape)} dimensions")
    return logits


def _size(dimension: int | str | None, what: str) -> int:
    if not isinstance(dimension, int):
        raise CannotRun(f"its graph does not say {what}")
    return dimension
