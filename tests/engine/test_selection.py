import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from obeaver.engine.sampling.selection import heaviest, in_order, largest, largest_of_rows

# Few distinct values, so that ties are everywhere.
LOGITS_OF_FEW = st.sampled_from([-np.inf, -3.0, -0.0, 0.0, 0.5, 1.0, 7.25])
LOGITS = hnp.arrays(np.float32, st.integers(1, 2000), elements=LOGITS_OF_FEW, fill=None)


def slow_order(values: npt.NDArray[np.float32]) -> list[int]:
    return sorted(range(values.size), key=lambda index: (-values[index], index))


@given(LOGITS, st.integers(1, 2500))
def test_the_largest_values_come_in_order_with_ties_by_lowest_index(
    values: npt.NDArray[np.float32], count: int
) -> None:
    assert largest(values, count).tolist() == slow_order(values)[:count]


@pytest.mark.parametrize("size", [1, 127, 128, 129, 49_152, 50_001])
@pytest.mark.parametrize("count", [1, 2, 50, 1000])
def test_the_largest_of_any_size_equal_those_of_a_full_sort(size: int, count: int) -> None:
    values = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    assert largest(values, count).tolist() == slow_order(values)[:count]


def test_the_largest_may_stand_in_the_tail_behind_the_last_full_group() -> None:
    values = np.zeros(10_001, np.float32)
    values[-1] = 1
    assert largest(values, 2).tolist() == [10_000, 0]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 2000)), elements=LOGITS_OF_FEW, fill=None),
    st.integers(1, 2500),
)
def test_the_largest_of_several_rows_are_those_of_each(values: npt.NDArray[np.float32], count: int) -> None:
    rows, columns = largest_of_rows(values, count)
    expected = [(row, column) for row, each in enumerate(values) for column in slow_order(each)[:count]]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_a_vocabulary_of_equal_values_gives_the_lowest_indices() -> None:
    assert largest(np.ones(50_000, np.float32), 50).tolist() == list(range(50))


def test_all_values_in_order_keep_ties_by_lowest_index() -> None:
    assert in_order(np.array([1, 3, 1, 3], np.float32)).tolist() == [1, 3, 0, 2]


@given(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.sampled_from([0.0, 0.125, 0.25, 1.0])), st.integers(1, 99)
)
def test_the_heaviest_are_the_shortest_sorted_prefix_that_reaches_the_mass(
    weights: npt.NDArray[np.float32], percent: int
) -> None:
    mass = float(weights.sum()) * percent / 100
    kept, reached = [], 0.0
    for index in slow_order(weights):
        kept.append(index)
        reached += float(weights[index])
        if reached >= mass:
            break
    assert np.flatnonzero(heaviest(weights, mass)).tolist() == sorted(kept)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999999])
@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 20.0])
def test_the_heaviest_of_many_are_those_of_a_full_sort(share: float, spread: float) -> None:
    logits = np.random.default_rng(3).standard_normal(20_000).astype(np.float32) * np.float32(spread)
    weights = np.exp(logits - logits.max())
    mass = float(weights.sum(dtype=np.float64)) * share
    order = np.array(slow_order(weights))
    count = int(np.searchsorted(np.cumsum(weights[order], dtype=np.float64), mass)) + 1
    assert np.flatnonzero(heaviest(weights, mass)).tolist() == sorted(order[:count].tolist())


def test_zeros_among_many_weights_are_left_out() -> None:
    weights = np.zeros(10_000, np.float32)
    weights[[17, 9000]] = 0.5
    assert np.flatnonzero(heaviest(weights, 0.75)).tolist() == [17, 9000]


def test_a_mass_beyond_the_total_keeps_every_weight() -> None:
    assert heaviest(np.array([0.5, 0.25], np.float32), 2.0).all()
    assert heaviest(np.full(5000, 0.5, np.float32), 1e9).all()
