"""What moved beyond the noise."""

import random

import pytest

from benchmarks.results.compare import Verdict, compare, print_changes, verdict
from benchmarks.results.document import Metric, Results, Row

RATE = Metric("decode-1.rate", "decode, 1 stream", "tok/s")


def results(*rounds: dict[str, float], metric: Metric = RATE, exact: bool = False) -> Results:
    rows = [Row(metric, "streams", "ours", exact, list(rounds))]
    return Results(settings={}, environment={}, started="2026-01-01T00:00:00+00:00", rows=rows)


def test_a_clear_gain_is_better_and_a_clear_loss_worse() -> None:
    slow, fast = [100.0, 101.0, 99.0], [120.0, 121.0, 119.0]
    assert verdict(slow, fast, True) is Verdict.BETTER
    assert verdict(fast, slow, True) is Verdict.WORSE
    assert verdict(slow, fast, False) is Verdict.WORSE


def test_a_gain_that_the_rounds_own_spread_explains_is_noise() -> None:
    assert verdict([100.0, 140.0, 80.0], [120.0, 150.0, 90.0], True) is Verdict.SAME


def test_a_gain_below_the_floor_is_noise_however_sure_it_is() -> None:
    sure = [100.0, 100.01, 99.99, 100.0], [102.0, 102.01, 101.99, 102.0]
    assert verdict(*sure, True) is Verdict.SAME
    assert verdict(*sure, True, floor=0.01) is Verdict.BETTER


def test_one_value_on_each_side_says_nothing() -> None:
    assert verdict([100.0], [200.0], True) is Verdict.UNKNOWN


def test_figures_that_are_computed_need_one_value_only() -> None:
    assert verdict([0.008], [0.020], False, exact=True) is Verdict.WORSE
    assert verdict([0.008], [0.0081], False, exact=True) is Verdict.SAME


def test_values_without_any_spread_count_by_the_floor() -> None:
    assert verdict([5.0, 5.0], [4.0, 4.0], False) is Verdict.BETTER


def test_figures_of_nought_are_compared_without_logarithms() -> None:
    assert verdict([0.0, 0.0], [3.0, 3.0], False) is Verdict.WORSE
    assert verdict([0.0, 0.0], [0.0, 0.0], False) is Verdict.SAME


def test_noise_alone_is_taken_for_a_change_in_one_of_a_hundred_at_most() -> None:
    source = random.Random(11)
    found = [
        verdict([source.gauss(100, 8) for _ in range(4)], [source.gauss(100, 8) for _ in range(4)], True, floor=0.0)
        for _ in range(2000)
    ]
    assert sum(each is not Verdict.SAME for each in found) <= 0.015 * len(found)


def test_a_change_of_a_third_under_noise_of_eight_percent_is_found_with_five_rounds() -> None:
    source = random.Random(12)
    found = [
        verdict([source.gauss(100, 8) for _ in range(5)], [source.gauss(133, 10) for _ in range(5)], True)
        for _ in range(500)
    ]
    assert sum(each is Verdict.BETTER for each in found) >= 0.9 * len(found)


def test_a_slower_machine_moves_the_figures_and_not_the_ratios() -> None:
    fast = [{"ours": 100.0 + number, "peer": 50.0 + number / 2} for number in range(5)]
    slow = [{name: 0.7 * value for name, value in figures.items()} for figures in fast]
    found = {change.subject: change.verdict for change in compare(results(*fast), results(*slow))}
    assert found == {"ours": Verdict.WORSE, "peer": Verdict.WORSE, "ours ÷ peer": Verdict.SAME}


def test_a_ratio_that_fell_is_told_though_the_machine_became_faster() -> None:
    before = [{"ours": 100.0 + number, "peer": 50.0 + number / 2} for number in range(5)]
    after = [{"ours": 110.0 + number, "peer": 100.0 + number} for number in range(5)]
    found = {change.subject: change.verdict for change in compare(results(*before), results(*after))}
    assert found["ours"] is Verdict.BETTER
    assert found["ours ÷ peer"] is Verdict.WORSE


def test_rows_contenders_and_lengths_that_only_one_run_has_are_left_out() -> None:
    alone = results({"ours": 1.0, "peer": 2.0}, {"ours": 1.0, "peer": 2.0})
    other_length = Metric(RATE.id, "decode, 1 stream, shorter", "tok/s")
    assert compare(alone, results({"ours": 1.0}, metric=Metric("other", "other", "s"))) == []
    assert compare(alone, results({"ours": 1.0}, metric=other_length)) == []
    assert [change.subject for change in compare(alone, results({"ours": 1.0}, {"ours": 1.0}))] == ["ours"]


def test_what_is_printed_names_what_moved_and_counts_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    print_changes(compare(results({"ours": 1.0}, {"ours": 1.01}), results({"ours": 2.0}, {"ours": 2.01})))
    printed = capsys.readouterr().out
    assert "worse: nothing" in printed
    assert "better: 1" in printed
    assert "decode, 1 stream, ours" in printed
    assert "+99.5 %" in printed
