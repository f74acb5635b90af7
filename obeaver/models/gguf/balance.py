"""How far to even out the channels between what makes them and a matrix that takes them, both rounded to 8 bits.

A channel x_j may be divided by a factor s_j, and the matrix's column W_j multiplied by it. Two errors depend on it.
Rounding a row of the matrix has a step as large as the row's extreme, and meets the squares of activations; rounding a
token has a step as large as the token's extreme, and meets the squares of the matrix. Once both are turned
(`rotation.py`) no value stands out, and an extreme is in proportion to the root of the mean square. So either error is

    sum_ij W_ij^2 s_j^2  *  sum_j E[x_j^2] / s_j^2

which is least where all channels have like shares of both sums: s_j^2 in proportion to |x_j| / |W_j|.
"""

from typing import Final

import numpy as np

from obeaver.models.gguf.reader import FloatArray

_GREATEST_FACTOR: Final = 1e3
# What a channel has at least, in terms of all channels' mean.
_LEAST: Final = 1e-5


def balanced(inputs: FloatArray, matrix: FloatArray) -> FloatArray:
    """What to multiply the columns of a matrix by, with a geometric mean of 1: [columns].

    Args:
        inputs: What the matrix is multiplied with, or a sample of it, [tokens, columns].
        matrix: Its rows, or a sample of them, [rows, columns].
    """
    of_tokens = _mean_squares(inputs, _token_weights(inputs))
    of_rows = _mean_squares(matrix, np.ones(len(matrix), np.float32))
    factors = (of_tokens / of_rows) ** np.float32(0.25)
    centred = factors / np.exp(np.log(factors).mean())
    bounded: FloatArray = np.clip(centred, 1 / _GREATEST_FACTOR, _GREATEST_FACTOR).astype(np.float32)
    return bounded


def _mean_squares(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Of each column of values [count, columns], each row with a weight; never 0."""
    squares = np.einsum("i,ij,ij->j", weights, values, values) / len(values)
    positive: FloatArray = squares + _LEAST * (squares.mean() or 1)
    return positive


def _token_weights(inputs: FloatArray) -> FloatArray:
    """What the error of each token counts: one with a few values that exceed all else must not outweigh the others."""
    squares = np.einsum("ij,ij->i", inputs, inputs)
    usual = max(float(np.median(squares)), float(np.finfo(np.float32).tiny))
    weights: FloatArray = (usual / np.maximum(squares, usual)).astype(np.float32)
    return weights
