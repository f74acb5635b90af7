"""What the inputs of a model's matrices are like, channel by channel, and weights rescaled to suit.

Where activations are rounded to 8 bits with one step for a whole token, a few channels that are much larger than the
rest spend nearly all of the steps. So each channel of a matrix's input is divided by a factor and the matrix's column
multiplied by it: the product is the same, and the channels are alike. The division costs nothing at run time: it goes
into the weights of what made the input, a norm or the rows of another matrix (SmoothQuant, arXiv:2211.10438).

    norm -> query, key, value        norm -> gate, up        up -> down        norm -> head

Where a family has no such norm, or its activation is not linear in what `up` makes, channels stay as they are.
`balance.py` finds the factors.

Weights of few bits are rescaled in the same way, for another reason: see `FewBitWeights`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.balance import balanced
from obeaver.models.gguf.dequantise import FourBitBlocks
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.weights import HEAD, Weights

# For few bits the factor is the root mean square of activations ** a: 0.15, 0.25 and 0.35 had a mean KL of 0.075, 0.074
# and 0.076 over two texts. Taking the weights into account was worse.
_FEW_BITS_BALANCE: Final = 0.25
# A channel that calibration saw asleep may wake in another text. It costs nothing: 0 and 0.01 had a mean KL of 0.074,
# 0.1 one of 0.076.
_LEAST_IMPORTANCE: Final = np.float32(0.01)
_SMALLEST: Final = 1e-5
_GREATEST_FACTOR: Final = 1e3
# Rows of matrices and tokens that factors are found by, about: all of them are alike.
_SAMPLE_ROWS: Final = 256
_SAMPLE_TOKENS: Final = 256


class Activations:
    """Collects the inputs of a layer's matrices, and of the head.

    Each text has its own place here, so that texts can be taken in beside each other and stay in their order.
    """

    def __init__(self, num_texts: int) -> None:
        self._inputs: list[dict[str, FloatArray]] = [{} for _ in range(num_texts)]

    def add(self, text: int, matrix: str, inputs: FloatArray) -> None:
        """Take in a text's inputs [1, tokens, columns] of a matrix, such as `blk.3.ffn_down`."""
        self._inputs[text][matrix] = inputs.reshape(-1, inputs.shape[-1])

    def forget(self) -> None:
        """Let go of all of them."""
        for of_text in self._inputs:
            of_text.clear()

    def inputs(self, matrix: str) -> FloatArray:
        """Those of a matrix: [tokens, columns]."""
        return self._every(1, matrix)

    def sample(self, matrix: str, num_tokens: int) -> FloatArray:
        """Those of so many tokens at most, as far apart as they can be: [tokens, columns]."""
        return self._every(-(-sum(len(of_text[matrix]) for of_text in self._inputs) // num_tokens), matrix)

    def _every(self, step: int, matrix: str) -> FloatArray:
        """Every so many tokens of all texts, counted through them."""
        found, num_before = [], 0
        for of_text in self._inputs:
            found.append(of_text[matrix][-num_before % step :: step])
            num_before += len(of_text[matrix])
        return np.concatenate(found)

    def few_bits_factors(self, matrix: str) -> FloatArray:
        """What to multiply the columns of a matrix of few bits by."""
        ratio = _positive(self._squares(matrix)) ** (_FEW_BITS_BALANCE / 2)
        factors = ratio / np.exp(np.log(ratio).mean())
        clipped: FloatArray = np.clip(factors, 1 / _GREATEST_FACTOR, _GREATEST_FACTOR).astype(np.float32)
        return clipped

    def importance(self, matrix: str) -> FloatArray:
        """The mean square of each channel, in terms of the mean of all."""
        squares = self._squares(matrix)
        relative: FloatArray = squares / _positive(squares.mean()) + _LEAST_IMPORTANCE
        return relative

    def _squares(self, matrix: str) -> FloatArray:
        rows = self.inputs(matrix)
        squares: FloatArray = np.einsum("ij,ij->j", rows, rows)
        return squares


ActivationsOf = Callable[[str], Activations]
"""Gives what was collected of a place: a layer, such as `blk.3`, or the head, `output`."""


class _Search(NamedTuple):
    """A search for the factors of an input, under way or done.

    Attributes:
        maker: What gives its channels divided.
        takers: Those that have their columns multiplied for it.
        result: Waits for the factors.
    """

    maker: str
    takers: Sequence[str]
    result: Callable[[], FloatArray]


class SmoothWeights(Weights):
    """Weights with channels evened out; the model that they make is the same.

    Factors of a place are looked for from when something of it is first asked for, and waited for when they are needed.

    Args:
        weights: Those to even out.
        activations_of: What the inputs of matrices are like.
    """

    def __init__(self, weights: Weights, activations_of: ActivationsOf) -> None:
        super().__init__(weights.file, weights.model, weights.workers)
        self._source = weights
        self._activations_of = activations_of
        self._columns: dict[str, FloatArray] = {}
        self._rows: dict[str, FloatArray] = {}
        self._searches: dict[str, list[_Search]] = {}

    def vector(self, name: str) -> FloatArray:
        """As `Weights.vector`."""
        owner = name.rpartition(".")[0]
        self._even_out(owner)
        vector = super().vector(name)
        return vector / self._rows[owner] if owner in self._rows else vector

    def pieces(self, part: str) -> list[range]:
        """As `Weights.pieces`; what `piece` needs is there afterwards, in whatever thread it is called."""
        self._even_out(part)
        return self._source.pieces(part)

    def piece(self, part: str, rows: range) -> FloatArray:
        """As `Weights.piece`."""
        found = self._source.piece(part, rows)
        if part in self._columns:
            found = found * self._columns[part]
        if part in self._rows:
            divisors = self._rows[part][rows.start : rows.stop, None]
            found = np.divide(found, divisors, out=found if part in self._columns else None)
        return found

    def bias_of(self, part: str) -> FloatArray:
        """As `Weights.bias_of`."""
        self._even_out(part)
        bias = super().bias_of(part)
        return bias / self._rows[part] if part in self._rows else bias

    def gate_up(self, prefix: str, index: int) -> FloatArray:
        """As `Weights.gate_up`."""
        return self._source.gate_up(prefix, index)

    def down(self, prefix: str, index: int) -> FloatArray:
        """As `Weights.down`."""
        return self._source.down(prefix, index)

    def _even_out(self, owner: str) -> None:
        """Have the factors of a matrix or a norm."""
        place = _place(owner)
        if place is None:
            return
        if place not in self._searches:
            self._search_place(place, self._activations_of(place))
        for search in self._searches[place]:
            if owner == search.maker or owner in search.takers:
                factors = search.result()
                self._rows[search.maker] = factors
                self._columns.update(dict.fromkeys(search.takers, factors))

    def _search_place(self, place: str, activations: Activations) -> None:
        self._searches[place] = [
            _Search(maker, takers, self.workers.start(self._search(activations, takers)))
            for maker, takers in self._pairs(place)
        ]

    def _pairs(self, place: str) -> Iterator[tuple[str, list[str]]]:
        """What gives its channels divided, and those that have their columns multiplied for it."""
        for maker, takers in _inputs(self.model, place):
            if maker is not None:
                yield maker, takers

    def _search(self, activations: Activations, takers: Sequence[str]) -> Callable[[], FloatArray]:
        """What finds the factors of an input, in whatever thread it is called."""
        step = -(-self.num_rows(takers) // _SAMPLE_ROWS)
        pieces = [(taker, rows) for taker in takers for rows in self._source.pieces(taker)]

        def search() -> FloatArray:
            sample = [self._source.piece(*piece)[::step].copy() for piece in pieces]
            return balanced(activations.sample(takers[0], _SAMPLE_TOKENS), np.concatenate(sample))

        return search


class FewBitWeights(SmoothWeights):
    """Weights for few bits, where channels with large activations should lose least.

    Channels are evened out in part, so that columns that matter are large beside the steps of their blocks (AWQ,
    arXiv:2306.00978); how large they still are counts in the search for each block's range. On the default model, over
    two texts, neither had a mean KL of 0.22, the search 0.117, both 0.087.
    """

    def __init__(self, weights: Weights, activations_of: ActivationsOf) -> None:
        super().__init__(weights, activations_of)
        self._importance: dict[str, FloatArray] = {}

    def importance(self, part: str) -> FloatArray | None:
        """As `Weights.importance`."""
        self._even_out(part)
        return self._importance.get(part)

    def has_blocks(self, part: str) -> bool:
        """As `Weights.has_blocks`."""
        return self._source.has_blocks(part)

    def blocks(self, part: str, rows: range) -> FourBitBlocks | None:
        """As `Weights.blocks`; its columns are as they were, its rows may be divided."""
        found = self._source.blocks(part, rows)
        if found is None or part not in self._rows:
            return found
        divisors = self._rows[part][rows.start : rows.stop, None]
        return FourBitBlocks(found.integers, found.scales / divisors, found.offsets / divisors)

    def _search_place(self, place: str, activations: Activations) -> None:
        super()._search_place(place, activations)
        for _, parts in _inputs(self.model, place):
            if HEAD in parts or all(map(self.has_blocks, parts)):
                continue
            importance = activations.importance(parts[0])
            self._even_out(parts[0])
            if parts[0] in self._columns:
                importance = importance / self._columns[parts[0]] ** 2
            self._importance.update(dict.fromkeys(parts, importance))

    def _pairs(self, place: str) -> Iterator[tuple[str, list[str]]]:
        """Without the head, which has more bits, and without what loses nothing as the file has it."""
        for maker, takers in super()._pairs(place):
            if HEAD not in takers and not any(map(self.has_blocks, takers)):
                yield maker, takers

    def _search(self, activations: Activations, takers: Sequence[str]) -> Callable[[], FloatArray]:
        return partial(activations.few_bits_factors, takers[0])


def _place(name: str) -> str | None:
    """The layer that something belongs to, `output` for the head and its norm, None for the embedding."""
    if name.startswith("blk."):
        return name[: name.index(".", len("blk."))]
    return HEAD if name.startswith(HEAD) else None


def _inputs(model: Architecture, place: str) -> Iterator[tuple[str | None, list[str]]]:
    """Each input of matrices in a place: what makes its channels, if that can be divided, and the matrices."""
    if place == HEAD:
        yield "output_norm", [HEAD]
        return
    family, dense = model.family, [part for part in ("ffn_gate", "ffn_up") if part in model.matrices]
    attention = [f"attn_{which}" for which in "qkv"]
    prefix = f"{place}."
    yield _within(prefix, family.before_attention, attention + (dense if family.parallel else []))
    yield _within(prefix, None, ["attn_output"])
    if dense:
        if not family.parallel:
            yield _within(prefix, family.before_ffn, dense)
        yield _within(prefix, "ffn_up" if family.gated else None, ["ffn_down"])


def _within(prefix: str, maker: str | None, takers: Sequence[str]) -> tuple[str | None, list[str]]:
    return maker and f"{prefix}{maker}", [f"{prefix}{taker}" for taker in takers]


def _positive(sizes: FloatArray) -> FloatArray:
    positive: FloatArray = np.maximum(sizes, _SMALLEST)
    return positive
