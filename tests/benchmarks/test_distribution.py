"""Percentiles and spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results.distribution import percentile, spread

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


def test_percentiles_of_a_hundred_values_are_those_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share / 100) for share in (1, 7, 50, 95, 99, 100)] == [1, 7, 50, 95, 99, 100]


def test_the_99th_percentile_of_few_values_is_the_largest() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.99) == 5.0


@given(VALUES, st.integers(0, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], share: int) -> None:
    found = percentile(values, share / 100)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= share * len(values)
    assert share == 0 or 100 * sum(value < found for value in values) < share * len(values)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_a_percentile_of_nothing_or_beyond_all_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_the_spread_is_the_largest_distance_from_the_median() -> None:
    assert spread([10.0, 8.0, 11.0]) == pytest.approx(0.2)
    assert spread([0.0, 0.0]) == 0.0
