import numpy as np
import pytest

from obeaver.engine.encoding.pooling import POOLINGS, DenseLayer, VectorRecipe, normalised, pool

HIDDEN = np.array([[[1, 0], [3, 4], [90, 90]], [[2, 2], [4, 0], [0, 6]]], np.float32)
MASK = np.array([[1, 1, 0], [1, 1, 1]], np.int64)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls_token", [[1, 0], [2, 2]]),
        ("lasttoken", [[3, 4], [0, 6]]),
        ("mean_tokens", [[2, 2], [2, 8 / 3]]),
        ("max_tokens", [[3, 4], [4, 6]]),
        ("mean_sqrt_len_tokens", [[4 / 2**0.5, 4 / 2**0.5], [6 / 3**0.5, 8 / 3**0.5]]),
        ("weightedmean_tokens", [[7 / 3, 8 / 3], [10 / 6, 20 / 6]]),
    ],
)
def test_each_mode_is_what_its_name_says_over_real_tokens_alone(mode: str, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(POOLINGS[mode](HIDDEN, MASK), expected, rtol=1e-6)


def test_several_modes_stand_one_behind_the_other() -> None:
    pooled = pool(HIDDEN, MASK, ["cls_token", "lasttoken"])
    np.testing.assert_array_equal(pooled, [[1, 0, 3, 4], [2, 2, 0, 6]])


def test_first_and_last_are_of_the_tokens_that_count() -> None:
    mask = np.array([[0, 1, 0], [0, 1, 1]], np.int64)
    np.testing.assert_array_equal(POOLINGS["cls_token"](HIDDEN, mask), [[3, 4], [4, 0]])
    np.testing.assert_array_equal(POOLINGS["lasttoken"](HIDDEN, mask), [[3, 4], [0, 6]])


def test_a_graph_that_pools_by_itself_is_only_brought_to_length_one() -> None:
    vectors = VectorRecipe().vectors(np.array([[3, 4]], np.float32), MASK[:1])
    np.testing.assert_allclose(vectors, [[0.6, 0.8]], rtol=1e-6)


def test_a_vector_of_zeros_stays_one() -> None:
    np.testing.assert_array_equal(normalised(np.zeros((1, 3), np.float32)), [[0, 0, 0]])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("Identity", [-1, 3]), ("ReLU", [0, 3]), ("Tanh", np.tanh([-1, 3])), ("Sigmoid", 1 / (1 + np.exp([1, -3])))],
)
def test_a_dense_layer_multiplies_adds_and_activates(activation: str, expected: list[float]) -> None:
    layer = DenseLayer(np.array([[1, 0], [0, 1]], np.float32), np.array([-2, 1], np.float32), activation)
    np.testing.assert_allclose(layer(np.array([[1, 2]], np.float32))[0], expected, rtol=1e-6)


def test_dense_layers_stand_between_pooling_and_length_one() -> None:
    recipe = VectorRecipe(("cls_token",), [DenseLayer(np.array([[0, 2], [2, 0]], np.float32), None)])
    np.testing.assert_allclose(recipe.vectors(HIDDEN, MASK), [[0, 1], [0.5**0.5, 0.5**0.5]], rtol=1e-6)
