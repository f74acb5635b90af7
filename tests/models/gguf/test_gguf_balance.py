"""Factors between channels of activations and columns of matrices, where both are rounded to 8 bits."""

import numpy as np
import pytest

from obeaver.models.gguf.balance import balanced
from obeaver.models.gguf.quantize import quantise_rows
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.rotation import rotated

RANDOM = np.random.default_rng(7)


def rounded(values: FloatArray) -> FloatArray:
    integers, scales = quantise_rows(values)
    return integers * scales[:, None]


def error(inputs: FloatArray, matrix: FloatArray, factors: FloatArray) -> float:
    """Mean squared error of a product whose sides have some factors between them, are turned and rounded."""
    product = rounded(rotated(inputs / factors)) @ rounded(rotated(matrix * factors)).T
    return float(np.square(product - inputs @ matrix.T).mean())


def channels(spread: float, count: int) -> FloatArray:
    """Values [count, 96] whose columns differ in size."""
    sizes = np.exp(spread * RANDOM.standard_normal(96))
    return (RANDOM.standard_normal((count, 96)) * sizes).astype(np.float32)


@pytest.mark.parametrize(("of_inputs", "of_matrix"), [(1.0, 0.2), (0.2, 1.0), (0.8, 0.8)])
def test_the_error_is_less_than_with_any_power_of_the_extremes(of_inputs: float, of_matrix: float) -> None:
    inputs, matrix = channels(of_inputs, 200), channels(of_matrix, 150)
    found = error(inputs, matrix, balanced(inputs, matrix))
    highest, columns = np.abs(inputs).max(axis=0), np.abs(matrix).max(axis=0)
    for power in (0.0, 0.25, 0.5, 0.75, 1.0):
        others = highest**power / columns ** (1 - power)
        assert found < 1.05 * error(inputs, matrix, others)
    assert found < 0.8 * error(inputs, matrix, np.ones(96, np.float32))


def test_a_token_that_exceeds_all_others_hardly_counts() -> None:
    inputs, matrix = channels(0.5, 200), channels(0.3, 150)
    with_one = np.concatenate([inputs, np.eye(96, dtype=np.float32)[3:4] * 1e4])
    found, expected = (balanced(seen, matrix) for seen in (with_one, inputs))
    assert 1 <= found[3] / expected[3] < 2  # by its size alone, it would be more than ten
    others = np.arange(96) != 3
    assert np.allclose(found[others], expected[others], rtol=0.05)


@pytest.mark.parametrize("inputs", [np.zeros((3, 4)), np.eye(4)[:1], np.full((2, 4), 1e6)])
def test_factors_are_finite_whatever_was_seen(inputs: FloatArray) -> None:
    matrix = np.array([[0, 1, 1e9, 1e-30], [0, 0, 0, 0]], np.float32)
    factors = balanced(inputs.astype(np.float32), matrix)
    assert np.isfinite(factors).all()
    assert (factors > 0).all()
