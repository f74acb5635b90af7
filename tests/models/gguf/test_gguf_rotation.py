"""Channels turned together, so that none stands out where tokens and rows are rounded."""

import numpy as np
import pytest

from obeaver.models.gguf.quantize import quantise_rows
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.rotation import block_size, hadamard, rotated

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("columns", "size"),
    [(576, 32), (1536, 32), (2048, 32), (96, 32), (64, 32), (32, 16), (48, 16), (100, 4), (7, 1), (2, 1), (1, 1)],
)
def test_blocks_divide_the_columns_and_are_several(columns: int, size: int) -> None:
    assert block_size(columns) == size


@pytest.mark.parametrize("size", [1, 2, 4, 16, 32])
def test_a_rotation_changes_no_length_and_is_its_own_inverse(size: int) -> None:
    matrix = hadamard(size)
    assert np.allclose(matrix @ matrix.T, np.eye(size), atol=1e-6)
    assert np.array_equal(matrix, matrix.T)
    assert np.ptp(np.abs(matrix)) == 0


@pytest.mark.parametrize("columns", [7, 32, 100, 576])
def test_products_of_what_was_turned_are_the_same(columns: int) -> None:
    inputs, matrix = (RANDOM.standard_normal((count, columns)).astype(np.float32) for count in (11, 5))
    assert np.allclose(rotated(inputs) @ rotated(matrix).T, inputs @ matrix.T, atol=1e-4)


def test_a_value_that_stands_out_costs_less_when_it_is_turned() -> None:
    inputs, matrix = (RANDOM.standard_normal((count, 576)).astype(np.float32) for count in (40, 90))
    inputs[np.arange(40), RANDOM.integers(0, 576, 40)] *= 40

    def error(inputs: FloatArray, matrix: FloatArray) -> float:
        (x, x_scales), (w, w_scales) = quantise_rows(inputs), quantise_rows(matrix)
        found = (x * x_scales[:, None]) @ (w * w_scales[:, None]).T
        return float(np.square(found - inputs @ matrix.T).mean())

    assert error(rotated(inputs), rotated(matrix)) < 0.2 * error(inputs, matrix)
