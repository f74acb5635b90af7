"""Which graphs are taken, and the words for those that are not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from obeaver.engine.runners.decoder_graph import check_operators, describe
from obeaver.engine.sessions.cannot_run import CannotRun
from obeaver.onnx_outline import Node

ATTENTION = Node("GroupQueryAttention", ("qkv", "", ""))


@dataclass(frozen=True)
class Tensor:
    name: str
    type: str
    shape: tuple[int | str | None, ...]


IDS = Tensor("input_ids", "tensor(int64)", ("batch", "tokens"))
MASK = Tensor("attention_mask", "tensor(int64)", ("batch", "total"))
LOGITS = Tensor("logits", "tensor(float)", ("batch", "tokens", 300))


def caches(prefix: str, layers: int, kind: str = "tensor(float)", heads: int | str = 2) -> list[Tensor]:
    names = [f"{prefix}.{layer}.{which}" for layer in range(layers) for which in ("key", "value")]
    return [Tensor(name, kind, ("batch", heads, "tokens", 16)) for name in names]


PAST = caches("past_key_values", 2)
PRESENT = caches("present", 2)


def test_a_plain_decoder_is_described() -> None:
    decoder = describe([IDS, MASK, *PAST], [LOGITS, *PRESENT], [ATTENTION, ATTENTION])
    assert (decoder.num_layers, decoder.num_kv_heads, decoder.head_dim, decoder.vocab_size) == (2, 2, 16, 300)
    assert decoder.kv_type is np.float32
    assert not decoder.has_position_ids
    assert not decoder.has_logits_from
    assert not decoder.has_pruned_head
    assert decoder.kv_bytes_per_token == 2 * 2 * 2 * 16 * 4
    assert decoder.cache_names[2] == ("past_key_values.1.key", "present.1.key")


def test_optional_inputs_and_a_pruned_head_are_seen() -> None:
    optional = [replace(IDS, name="position_ids"), Tensor("logits_from", "tensor(int64)", (1,))]
    logits = replace(LOGITS, shape=("batch", 1, 300))
    decoder = describe([IDS, MASK, *optional, *PAST], [logits, *PRESENT], [ATTENTION, ATTENTION])
    assert decoder.has_position_ids
    assert decoder.has_logits_from
    assert decoder.has_pruned_head


def without_head_size(kind: str) -> list[Tensor]:
    return [replace(tensor, shape=("batch", 2, "tokens", "dim")) for tensor in caches("past_key_values", 2, kind)]


@pytest.mark.parametrize("kind", ["tensor(float)", "tensor(int8)"])
def test_a_graph_that_does_not_say_its_head_size_is_told(kind: str) -> None:
    inputs = [IDS, MASK, *without_head_size(kind)]
    decoder = describe(inputs, [LOGITS, *PRESENT], [ATTENTION, ATTENTION], head_size=24)
    assert decoder.head_dim == 24
    assert describe([IDS, MASK, *PAST], [LOGITS, *PRESENT], [ATTENTION, ATTENTION], head_size=24).head_dim == 16


@pytest.mark.parametrize(("kind", "head_size"), [("tensor(float)", None), ("tensor(uint8)", 24)])
def test_a_head_of_unknown_size_is_refused(kind: str, head_size: int | None) -> None:
    inputs = [IDS, MASK, *without_head_size(kind)]
    with pytest.raises(CannotRun, match="does not say the size of a cache head"):
        describe(inputs, [LOGITS, *PRESENT], [ATTENTION, ATTENTION], head_size=head_size)


@pytest.mark.parametrize(("evicts", "num_tokens"), [(1, 512), (0, 0)])
def test_caches_that_may_evict_need_room_for_their_window(evicts: int, num_tokens: int) -> None:
    local = Node(*ATTENTION[:2], {"local_window_size": 512, "sliding_window_cache": evicts})
    decoder = describe([IDS, MASK, *PAST], [LOGITS, *PRESENT], [local, ATTENTION])
    assert decoder.min_cache_tokens == num_tokens


@pytest.mark.parametrize(
    ("kind", "element", "exact"),
    [("tensor(int8)", np.int8, True), ("tensor(uint8)", np.uint8, True), ("tensor(float)", np.float32, False)],
)
def test_quantised_caches_decode_as_they_prefill(kind: str, element: type[np.generic], exact: bool) -> None:
    past = caches("past_key_values", 2, kind)
    decoder = describe([IDS, MASK, *past], [LOGITS, *PRESENT], [ATTENTION, ATTENTION])
    assert decoder.kv_type is element
    assert decoder.decodes_as_prefill is exact


def test_a_half_precision_model_has_half_precision_caches_and_logits() -> None:
    past = caches("past_key_values", 2, "tensor(float16)")
    logits = replace(LOGITS, type="tensor(float16)")
    decoder = describe([IDS, MASK, *past], [logits, *PRESENT], [ATTENTION, ATTENTION])
    assert (decoder.kv_type, decoder.logits_type) == (np.float16, np.float16)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([MASK, *PAST], "its graph has no input input_ids"),
        ([IDS, *PAST], "its graph has no input attention_mask"),
        ([replace(IDS, type="tensor(int32)"), MASK, *PAST], "its input input_ids is not int64"),
        ([replace(IDS, shape=(1, "tokens")), MASK, *PAST], "its batch size is fixed at 1"),
        ([IDS, MASK, replace(IDS, name="past_conv.0"), *PAST], "its graph has an input past_conv.0"),
        ([IDS, MASK, *PAST[:3]], "its graph has 2 GroupQueryAttention for 1 layers of cache"),
        ([IDS, MASK, *caches("past_key_values", 3)[2:]], "its caches are not numbered in pairs from 0"),
        (
            [IDS, MASK, *PAST[:3], replace(PAST[3], shape=("b", 4, "t", 16))],
            "its layers have caches of different kinds",
        ),
        ([IDS, MASK, *caches("past_key_values", 2, "tensor(bfloat16)")], "its caches are of tensor(bfloat16)"),
        ([IDS, MASK, *(replace(t, shape=("b", 2, 512, 16)) for t in PAST)], "its caches have a fixed length"),
        ([IDS, MASK, *caches("past_key_values", 2, heads="h")], "its graph does not say the number of cache heads"),
        ([IDS, MASK, *caches("past_key_values", 2, "tensor(float16)")], "its caches round what they store, so answers"),
    ],
)
def test_inputs_of_another_kind_are_refused(inputs: list[Tensor], reason: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        describe(inputs, [LOGITS, *PRESENT], [ATTENTION, ATTENTION])
    assert str(refusal.value).startswith(reason)


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (PRESENT, "its graph has no output logits"),
        ([LOGITS, *PRESENT[1:]], "its graph has no output present.0.key"),
        ([replace(LOGITS, type="tensor(double)"), *PRESENT], "its logits are tensor(double) of 3 dimensions"),
        ([replace(LOGITS, shape=("batch", 300)), *PRESENT], "its logits are tensor(float) of 2 dimensions"),
        ([replace(LOGITS, shape=("batch", 1, "vocab")), *PRESENT], "its graph does not say the vocabulary's size"),
    ],
)
def test_outputs_of_another_kind_are_refused(outputs: list[Tensor], reason: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        describe([IDS, MASK, *PAST], outputs, [ATTENTION, ATTENTION])
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([Node("MatMul", ())], "its graph has no GroupQueryAttention"),
        ([ATTENTION, Node("If", ())], "its graph branches on the longest row's length"),
        (
            [ATTENTION, Node("DynamicQuantizeLinear", ())],
            "it quantises activations of all rows together, so rows would",
        ),
        ([ATTENTION, Node("PagedAttention", ())], "it uses PagedAttention"),
        ([Node("GroupQueryAttention", ("x",) * 11)], "its attention takes a bias"),
        ([ATTENTION, Node("QMoE", (), {"k": 4})], "the order in which it adds up a token's experts depends on"),
    ],
)
def test_operators_of_another_kind_are_refused(nodes: list[Node], reason: str) -> None:
    with pytest.raises(CannotRun) as refusal:
        check_operators(nodes)
    assert str(refusal.value).startswith(reason)


@pytest.mark.parametrize("ints", [{}, {"k": 1}, {"k": 2}])
def test_experts_whose_sum_has_one_order_are_taken(ints: dict[str, int]) -> None:
    check_operators([ATTENTION, Node("MoE", (), ints)])


def test_attention_without_a_bias_is_taken() -> None:
    check_operators([ATTENTION, Node("GroupQueryAttention", (*["x"] * 9, "", "", "", "scale", "scale"))])
