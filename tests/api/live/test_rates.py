"""Tokens a second, out of counters."""

import pytest

from obeaver.api.live.rates import FORGET_AFTER_S, RateMeter, Rates
from obeaver.engine.decoding.stats import EngineTotals


def totals(prompt: int = 0, cached: int = 0, generated: int = 0) -> EngineTotals:
    return EngineTotals(prompt_tokens=prompt, cached_tokens=cached, generated_tokens=generated)


def test_the_first_reading_has_no_rate() -> None:
    assert RateMeter().read(totals(100, 0, 50), 7.0) == Rates(None, None)


def test_a_rate_is_what_was_counted_over_the_time_between() -> None:
    meter = RateMeter()
    meter.read(totals(), 0.0)
    assert meter.read(totals(prompt=300, cached=100, generated=50), 2.0) == Rates(100.0, 25.0)


def test_a_rate_follows_the_last_second_however_often_it_is_asked_for() -> None:
    meter = RateMeter()
    rates = [meter.read(totals(generated=100 * tick // 20), tick / 20) for tick in range(20 * 30)]
    assert rates[-1].decode == pytest.approx(100, rel=0.05)
    still = [meter.read(totals(generated=2995), 30 + tick / 20) for tick in range(40)]
    assert still[-1].decode == 0


def test_one_who_asks_every_three_seconds_gets_the_rate_of_these() -> None:
    meter = RateMeter()
    found = [meter.read(totals(generated=30 * turn), 3.0 * turn).decode for turn in range(4)]
    assert found == [None, 10.0, 10.0, 10.0]


def test_after_a_long_pause_there_is_no_rate_of_it() -> None:
    meter = RateMeter()
    meter.read(totals(), 0.0)
    assert meter.read(totals(generated=900), FORGET_AFTER_S + 1) == Rates(None, None)


def test_two_readings_at_one_moment_divide_by_nothing() -> None:
    meter = RateMeter()
    meter.read(totals(), 1.0)
    assert meter.read(totals(generated=5), 1.0) == Rates(None, None)
