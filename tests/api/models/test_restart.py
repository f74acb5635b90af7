"""Engines that have failed and are started anew."""

import pytest

from obeaver.api.models.backoff import LONGEST_WAIT_S, STABLE_AFTER_S, Backoff


def test_each_wait_is_twice_as_long_up_to_a_limit() -> None:
    backoff = Backoff()
    assert [backoff.next_wait_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_S, LONGEST_WAIT_S]


@pytest.mark.parametrize(("lived_s", "wait_s"), [(STABLE_AFTER_S, 1), (STABLE_AFTER_S - 1, 4)])
def test_an_engine_that_lasted_begins_with_the_first_wait(lived_s: float, wait_s: float) -> None:
    backoff = Backoff()
    backoff.next_wait_s()
    backoff.next_wait_s()
    assert backoff.next_wait_s(lived_s) == wait_s
