"""What is computed ahead of a lone stream: when it pays, that it changes nothing, that nothing of it is left over."""

from typing import Any

import pytest
from support import engine_driver
from support.fake_runner import FakeRunner

from obeaver.engine.decoding.lookahead import History, best_count, price

PROMPT = [7, 1, 2, 3, 9, 1, 2]
FEW_WORDS: dict[str, Any] = {"logit_bias": {5: 50.0}}
TWO_WORDS: dict[str, Any] = {"logit_bias": {5: 50.0, 6: 50.0}, "temperature": 1.0}


def driver(lookahead: int = 7, prefix_tokens: int = 0) -> engine_driver.EngineDriver:
    settings = engine_driver.settings(prefix_tokens=prefix_tokens, lookahead=lookahead)
    return engine_driver.EngineDriver(FakeRunner(), settings)


def num_computed(driver: engine_driver.EngineDriver) -> int:
    """Tokens that went through the runner after the prompt."""
    return driver.runner.num_prefilled + len(driver.runner.decode_runs) - len(PROMPT)


class TestHistory:
    @pytest.mark.parametrize(
        ("said", "guessed"),
        [
            ([1, 2, 3, 4, 1, 2], [3, 4, 1, 2]),
            ([1, 2, 3, 8, 1, 2, 4, 8, 1, 2], [4, 8, 1, 2]),
            ([1, 2, 3, 4, 7, 2, 3, 5, 1, 2, 3], [4, 7, 2, 3]),
            ([1, 2, 1, 2], [1, 2, 1, 2]),
            ([5, 5, 5], [5, 5, 5, 5]),
            ([1, 2, 3, 4], []),
            ([1, 2, 3, 1], []),
            ([1], []),
            ([], []),
        ],
        ids=[
            "what followed last time",
            "the latest of two occurrences",
            "the longer match before the later one",
            "a loop goes round",
            "one token again and again",
            "nothing was said before",
            "one token in common is no match",
            "too short",
            "empty",
        ],
    )
    def test_guess(self, said: list[int], guessed: list[int]) -> None:
        assert History(said).guess(4) == guessed

    def test_a_token_that_comes_later_counts_as_one_of_the_prompt(self) -> None:
        history = History([1, 2, 3, 4])
        for token_id in (1, 2):
            history.append(token_id)
        assert history.guess(2) == [3, 4]
        assert history.num_appended == 2


def test_a_token_more_is_dearer_the_further_back_it_looks() -> None:
    assert 0 < price(0) < price(1000) < price(4000) < 1


@pytest.mark.parametrize("place", [0, 1000, 4000, 100_000])
class TestBestCount:
    def test_who_is_always_right_is_followed_as_far_as_may_be(self, place: int) -> None:
        counts = [best_count(1.0, place, limit) for limit in range(-1, 16)]
        assert counts == [0, 0, 1, 1, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15]

    def test_who_is_never_right_is_not_followed(self, place: int) -> None:
        assert best_count(0.0, place, 15) == 0

    def test_the_likelier_a_guess_the_more_is_computed(self, place: int) -> None:
        counts = [best_count(confidence / 100, place, 15) for confidence in range(101)]
        assert counts == sorted(counts)


def test_where_a_token_is_dear_fewer_are_computed() -> None:
    counts = [best_count(0.85, place, 15) for place in (0, 1000, 4000, 100_000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_stream_that_repeats_itself_takes_a_fraction_of_the_runs_and_says_the_same() -> None:
    plain, ahead = driver(lookahead=0), driver()
    for each in (plain, ahead):
        each.add(PROMPT, 64, **FEW_WORDS)
        each.run()
        each.check_outputs()
    assert plain.outputs == ahead.outputs
    num_kept = ahead.core.stats().totals.lookahead_tokens
    assert len(plain.runner.decode_runs) == 63
    assert num_kept > 45
    assert plain.core.stats().totals.lookahead_tokens == 0


def test_a_stream_that_says_something_new_computes_each_token_once() -> None:
    told = driver()
    told.add([3, 8, 12], 12, seed=3)
    told.run()
    told.check_outputs()
    assert len(told.runner.decode_runs) == 11
    assert told.runner.prefill_runs == [3]


@pytest.mark.parametrize("seed", range(8))
def test_wrong_guesses_leave_no_trace(seed: int) -> None:
    told = driver()
    told.add(PROMPT, 120, seed, **TWO_WORDS)
    told.run()
    told.check_outputs()


def test_after_wrong_guesses_little_is_computed_in_vain() -> None:
    told = driver()
    told.add(PROMPT, 120, 1, **TWO_WORDS)
    told.run()
    assert num_computed(told) < 2 * 120


def test_nothing_is_computed_beyond_the_last_token() -> None:
    told = driver()
    told.add([5] * 20, 6, **FEW_WORDS)
    told.run()
    assert told.runner.num_prefilled + len(told.runner.decode_runs) <= 20 + 5


def test_a_newcomer_voids_what_was_computed_ahead_and_both_say_what_they_say_alone() -> None:
    told = driver()
    first = told.add([5] * 10, 40, **FEW_WORDS)
    for _ in range(6):
        told.step()
    told.add(PROMPT, 5, seed=4)
    told.run()
    told.check_outputs()
    assert len(told.outputs[first]) == 40


def test_who_is_left_alone_is_looked_ahead_of_again() -> None:
    told = driver()
    told.add([5] * 10, 60, **FEW_WORDS)
    told.add(PROMPT, 4, seed=4)
    told.run()
    told.check_outputs()
    assert len(told.runner.decode_runs) < 30


def test_a_second_turn_matches_the_first_ones_answer_and_nothing_of_its_wrong_guesses() -> None:
    told = driver(prefix_tokens=1000)
    told.add(PROMPT, 60, 1, **TWO_WORDS)
    told.run()
    again = told.add([*PROMPT, *told.outputs[0], 1, 2], 20, 2, **TWO_WORDS)
    told.run()
    told.check_outputs()
    assert told.finished(again).num_cached_tokens >= len(PROMPT) + 59


def test_a_run_ahead_that_fails_ends_the_one_sequence() -> None:
    failing = {"armed": False}
    runner = FakeRunner(fails=lambda method: failing["armed"] and method == "prefill_with_logits")
    told = engine_driver.EngineDriver(runner, engine_driver.settings(lookahead=7))
    told.add([5] * 10, 40, **FEW_WORDS)
    told.step()
    failing["armed"] = True
    told.run()
    failing["armed"] = False
    told.add(PROMPT, 5)
    told.run()
    told.check_outputs()
    assert str(told.results[0]) == "The engine failed while it computed this answer."


@pytest.mark.parametrize("decodes_ahead", [True, False])
def test_a_runner_is_looked_ahead_with_where_several_tokens_at_once_are_what_decoding_leaves(
    decodes_ahead: bool,
) -> None:
    runner = FakeRunner(decodes_as_prefill=False, decodes_ahead=decodes_ahead)
    told = engine_driver.EngineDriver(runner, engine_driver.settings(lookahead=7))
    told.add([5] * 10, 30, **FEW_WORDS)
    told.run()
    told.check_outputs()
    assert (len(runner.decode_runs) == 29) is not decodes_ahead
