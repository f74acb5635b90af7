"""From a graph's output to one vector a text: pooling, dense layers, length 1. Pure numpy, float32.

Names of the modes are those of sentence-transformers' `1_Pooling/config.json`, without their prefix.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Activation = Callable[[FloatArray], FloatArray]


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0))


def _sigmoid(x: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def _identity(x: FloatArray) -> FloatArray:
    return x


ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "Identity": _identity,
    "Tanh": np.tanh,
    "ReLU": _relu,
    "Sigmoid": _sigmoid,
}


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A layer after pooling: `activation(x @ weight.T + bias)`.

    Attributes:
        weight: [out, in].
        bias: [out], or None.
        activation: A key of `ACTIVATIONS`.
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: str = "Identity"

    def __call__(self, x: FloatArray) -> FloatArray:
        """[n, in] to [n, out]."""
        product = x @ self.weight.T
        return ACTIVATIONS[self.activation](product if self.bias is None else product + self.bias)


@dataclass(frozen=True, slots=True)
class VectorRecipe:
    """How the output of a graph becomes vectors.

    Attributes:
        pooling: Modes whose results are joined, in this order; see `POOLINGS`.
        dense: Layers after it.
        normalised: Vectors are brought to length 1; scores are not.
    """

    pooling: Sequence[str] = ("mean_tokens",)
    dense: Sequence[DenseLayer] = field(default=())
    normalised: bool = True

    def vectors(self, hidden: FloatArray, mask: IntArray) -> FloatArray:
        """Vectors of length 1, or scores.

        Args:
            hidden: [rows, tokens, size], or [rows, size] from a graph that pools by itself.
            mask: [rows, tokens], 1 for each token that counts; at least one a row, padding behind them.

        Returns:
            [rows, dimensions].
        """
        pooled = hidden if hidden.ndim == 2 else pool(hidden, mask, self.pooling)
        for layer in self.dense:
            pooled = layer(pooled)
        return normalised(pooled) if self.normalised else pooled


def pool(hidden: FloatArray, mask: IntArray, modes: Sequence[str]) -> FloatArray:
    """One vector a row, of all modes one after the other. Shapes as in `VectorRecipe.vectors`."""
    return np.concatenate([POOLINGS[mode](hidden, mask) for mode in modes], axis=1)


def normalised(vectors: FloatArray) -> FloatArray:
    """The same directions with length 1; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def _rows_of(hidden: FloatArray, positions: IntArray) -> FloatArray:
    picked: FloatArray = hidden[np.arange(len(hidden)), positions]
    return picked


def _first(hidden: FloatArray, mask: IntArray) -> FloatArray:
    return _rows_of(hidden, mask.argmax(axis=1))


def _last(hidden: FloatArray, mask: IntArray) -> FloatArray:
    return _rows_of(hidden, mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1))


def _weighted_sum(hidden: FloatArray, weights: FloatArray) -> FloatArray:
    """Each row by itself, over its own tokens alone: so a row's sum does not depend on the batch's width.

    No matrix product: for one so small, a BLAS library may wake threads that fight with onnxruntime's for the cores.
    """
    rows = []
    for tokens, factors in zip(hidden, weights, strict=True):
        used = factors.nonzero()[0]
        rows.append((tokens[used] * factors[used, None]).sum(axis=0))
    return np.stack(rows)


def _weighted_mean_by(hidden: FloatArray, weights: FloatArray) -> FloatArray:
    mean: FloatArray = _weighted_sum(hidden, weights) / weights.sum(axis=1, keepdims=True)
    return mean


def _mean(hidden: FloatArray, mask: IntArray) -> FloatArray:
    return _weighted_mean_by(hidden, mask.astype(np.float32))


def _mean_sqrt(hidden: FloatArray, mask: IntArray) -> FloatArray:
    weights = mask.astype(np.float32)
    scaled: FloatArray = _weighted_sum(hidden, weights) / np.sqrt(weights.sum(axis=1, keepdims=True))
    return scaled


def _weighted_mean(hidden: FloatArray, mask: IntArray) -> FloatArray:
    """Later tokens count more: the first once, the second twice, and so on."""
    return _weighted_mean_by(hidden, (mask * np.arange(1, mask.shape[1] + 1)).astype(np.float32))


def _max(hidden: FloatArray, mask: IntArray) -> FloatArray:
    highest: FloatArray = np.where(mask[..., None] > 0, hidden, np.float32(-np.inf)).max(axis=1)
    return highest


POOLINGS: Final[Mapping[str, Callable[[FloatArray, IntArray], FloatArray]]] = {
    "cls_token": _first,
    "mean_tokens": _mean,
    "max_tokens": _max,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean_tokens": _weighted_mean,
    "lasttoken": _last,
}
"""In the order in which sentence-transformers joins them."""
