"""Channels evened out: the same model, with activations that are easier to round."""

from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import ARCHITECTURES, TinyGguf

from obeaver.models.gguf.activations import ActivationRanges, FewBitWeights, SmoothWeights
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.reader import FloatArray, GgufFile
from obeaver.models.gguf.streamed import head_logits, run_layers
from obeaver.models.gguf.weights import HEAD, Weights

TEXT = [int(n) for n in np.random.default_rng(9).integers(0, 261, 60)]


def ranges_of(weights: Weights) -> ActivationRanges:
    """What the text's activations reach, with one channel of each matrix's input made far larger than it is."""
    ranges = ActivationRanges(1)

    def on_inputs(text: int, matrix: str, inputs: FloatArray) -> None:
        ranges.add(text, matrix, inputs * np.where(np.arange(inputs.shape[-1]) == 3, 40, 1))

    run_layers(weights.model, weights, [TEXT], on_inputs=on_inputs)
    return ranges


def logits(weights: Weights) -> FloatArray:
    (hidden,) = run_layers(weights.model, weights, [TEXT])
    return np.concatenate(list(head_logits(weights.model, weights, hidden)))


@pytest.mark.parametrize(
    ("make", "changed"),
    [(SmoothWeights, ["blk.0.ffn_down", "blk.0.attn_k", HEAD]), (FewBitWeights, ["blk.0.ffn_down", "blk.0.attn_k"])],
)
@pytest.mark.parametrize(
    "tiny",
    [
        *map(TinyGguf, ARCHITECTURES),
        TinyGguf(tied=False),
        TinyGguf(biases=("attn_q", "ffn_gate", "ffn_up", "ffn_down")),
    ],
    ids=[*ARCHITECTURES, "head of its own", "biases"],
)
def test_the_model_stays_the_same(
    tmp_path: Path, tiny: TinyGguf, make: type[SmoothWeights], changed: list[str]
) -> None:
    file = GgufFile(tiny.write(tmp_path / "source.gguf"))
    weights = Weights(file, read_architecture(file))
    ranges = ranges_of(weights)
    even = make(weights, lambda _: ranges)
    parts = ("blk.0.ffn_down", "blk.0.attn_k", HEAD)
    assert [part for part in parts if not same_matrix(weights, even, part)] == changed
    assert same_matrix(weights, even, "token_embd")
    expected = logits(weights)
    assert np.abs(logits(even) - expected).max() < 1e-4 * expected.std()


def test_the_channels_with_large_activations_count_most(tmp_path: Path) -> None:
    file = GgufFile(TinyGguf().write(tmp_path / "source.gguf"))
    weights = Weights(file, read_architecture(file))
    ranges = ranges_of(weights)
    even = FewBitWeights(weights, lambda _: ranges)
    for part in ("attn_q", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        importance = even.importance(f"blk.1.{part}")
        assert importance is not None
        assert importance.shape == (weights.num_columns([f"blk.1.{part}"]),)
        assert importance.argmax() == 3
        assert importance.min() > 0
    assert (even.importance("token_embd"), weights.importance("blk.1.attn_q")) == (None, None)


def test_what_four_bits_hold_is_not_evened_out(tmp_path: Path) -> None:
    file = GgufFile(TinyGguf(type="Q4_0").write(tmp_path / "source.gguf"))
    weights = Weights(file, read_architecture(file))
    ranges = ranges_of(weights)
    even = FewBitWeights(weights, lambda _: ranges)
    assert all(same_matrix(weights, even, f"blk.0.{part}") for part in ("attn_q", "ffn_up", "ffn_down"))


def rows_of(weights: Weights, part: str) -> list[FloatArray]:
    return [weights.piece(part, rows) for rows in weights.pieces(part)]


def same_matrix(weights: Weights, others: Weights, part: str) -> bool:
    return all(map(np.array_equal, rows_of(weights, part), rows_of(others, part)))


def test_a_channel_far_larger_than_the_rest_is_brought_nearer() -> None:
    ranges = ActivationRanges(1)
    ranges.add(0, "m", np.array([[[1.0, -100.0, 2.0]], [[0.5, 3.0, -4.0]]], np.float32))
    factors = ranges.factors("m", np.ones(3, np.float32))
    assert np.allclose(factors[1] / factors[0], 100**0.5, rtol=0.3)
    assert np.isclose(np.log(factors).mean(), 0, atol=1e-6)


def test_a_channel_that_was_never_used_gets_a_bounded_factor() -> None:
    ranges = ActivationRanges(1)
    ranges.add(0, "m", np.zeros((1, 1, 4), np.float32))
    assert np.isfinite(ranges.factors("m", np.array([0, 1, 1e9, 1e-30], np.float32))).all()
