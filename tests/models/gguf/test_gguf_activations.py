"""Channels evened out: the same model, with activations that are easier to round."""

from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import ARCHITECTURES, TinyGguf

from obeaver.models.gguf.activations import Activations, FewBitWeights, SmoothWeights
from obeaver.models.gguf.dequantise import FOUR_BIT_BLOCK, FourBitBlocks
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.reader import FloatArray, GgufFile
from obeaver.models.gguf.streamed import head_logits, run_layers
from obeaver.models.gguf.weights import HEAD, HeldWeights, Weights

TEXT = [int(n) for n in np.random.default_rng(9).integers(0, 261, 60)]


def activations_of(weights: Weights) -> Activations:
    """What the text's activations are, with one channel of each matrix's input made far larger than it is."""
    activations = Activations(1)

    def on_inputs(_: int, matrix: str, inputs: FloatArray) -> None:
        activations.add(0, matrix, inputs * np.where(np.arange(inputs.shape[-1]) == 3, 40, 1))

    run_layers(weights.model, weights, [TEXT], on_inputs=on_inputs)
    return activations


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
    activations = activations_of(weights)
    even = make(weights, lambda _: activations)
    parts = ("blk.0.ffn_down", "blk.0.attn_k", HEAD)
    assert [part for part in parts if not same_matrix(weights, even, part)] == changed
    assert same_matrix(weights, even, "token_embd")
    expected = logits(weights)
    assert np.abs(logits(even) - expected).max() < 1e-4 * expected.std()


def test_the_channels_with_large_activations_count_most(tmp_path: Path) -> None:
    file = GgufFile(TinyGguf().write(tmp_path / "source.gguf"))
    weights = Weights(file, read_architecture(file))
    activations = activations_of(weights)
    even = FewBitWeights(weights, lambda _: activations)
    for part in ("attn_q", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        importance = even.importance(f"blk.1.{part}")
        assert importance is not None
        assert importance.shape == (weights.num_columns([f"blk.1.{part}"]),)
        assert importance.argmax() == 3
        assert importance.min() > 0
    assert (even.importance("token_embd"), weights.importance("blk.1.attn_q")) == (None, None)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q4_K"])
def test_what_four_bits_hold_is_not_evened_out(tmp_path: Path, kind: str) -> None:
    file = GgufFile(TinyGguf(type=kind).write(tmp_path / "source.gguf"))
    weights = HeldWeights(file, read_architecture(file))
    activations = activations_of(weights)
    even = FewBitWeights(weights, lambda _: activations)
    assert all(same_matrix(weights, even, f"blk.0.{part}") for part in ("attn_q", "ffn_up", "ffn_down"))


def test_what_makes_the_channels_of_another_matrix_keeps_its_blocks(tmp_path: Path) -> None:
    file = GgufFile(TinyGguf(type="Q4_K", types={"ffn_down": "Q6_K"}).write(tmp_path / "source.gguf"))
    weights = HeldWeights(file, read_architecture(file))
    activations = activations_of(weights)
    even = FewBitWeights(weights, lambda _: activations)
    parts = ("ffn_down", "ffn_up", "ffn_gate", "attn_v")
    assert [part for part in parts if not same_matrix(weights, even, f"blk.0.{part}")] == ["ffn_down", "ffn_up"]
    for rows in weights.pieces("blk.0.ffn_up"):
        blocks, before = (of.blocks("blk.0.ffn_up", rows) for of in (even, weights))
        assert blocks is not None
        assert before is not None
        assert np.array_equal(blocks.integers, before.integers)
        assert np.allclose(values_of(blocks), even.piece("blk.0.ffn_up", rows), rtol=1e-5, atol=1e-6)


def values_of(blocks: FourBitBlocks) -> FloatArray:
    scales, offsets = (np.repeat(part, FOUR_BIT_BLOCK, axis=1) for part in (blocks.scales, blocks.offsets))
    values: FloatArray = scales * blocks.integers + offsets
    return values


def rows_of(weights: Weights, part: str) -> list[FloatArray]:
    return [weights.piece(part, rows) for rows in weights.pieces(part)]


def same_matrix(weights: Weights, others: Weights, part: str) -> bool:
    return all(map(np.array_equal, rows_of(weights, part), rows_of(others, part)))


@pytest.mark.parametrize("lengths", [(8,), (5, 4), (1, 1, 9), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("num_tokens", [1, 2, 3, 5, 100])
def test_a_sample_is_spread_over_all_texts(lengths: tuple[int, ...], num_tokens: int) -> None:
    activations = Activations(len(lengths))
    tokens = np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2)
    for text, some in enumerate(np.split(tokens, np.cumsum(lengths)[:-1])):
        activations.add(text, "blk.0.ffn_down", some[None])
    assert np.array_equal(activations.inputs("blk.0.ffn_down"), tokens)
    found = activations.sample("blk.0.ffn_down", num_tokens)
    assert len(found) <= num_tokens
    assert np.array_equal(found, tokens[:: -(-len(tokens) // num_tokens)])
