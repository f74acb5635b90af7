"""What is computed ahead of a lone stream: when it pays, that it changes nothing, that nothing of it is left over."""

import itertools
import logging
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from support import engine_driver
from support.fake_runner import VOCAB_SIZE, FakeRunner

from obeaver.engine.decoding.chooser import Mask
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.lookahead import History, best_count, price
from obeaver.engine.decoding.sequence import Finished, FinishReason
from obeaver.engine.decoding.sequence import Sequence as EngineSequence
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams

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
        counts = [best_count([1.0] * limit, place) for limit in range(-1, 16)]
        assert counts == [0, 0, 1, 1, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15]

    def test_who_is_never_right_is_not_followed(self, place: int) -> None:
        assert best_count([0.0] * 15, place) == 0

    def test_the_likelier_a_guess_the_more_is_computed(self, place: int) -> None:
        counts = [best_count([confidence / 100] * 15, place) for confidence in range(101)]
        assert counts == sorted(counts)


def test_where_a_token_is_dear_fewer_are_computed() -> None:
    counts = [best_count([0.85] * 15, place) for place in (0, 1000, 4000, 100_000)]
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


class _Text(str):
    """A text that can be referred to weakly."""


@pytest.mark.parametrize("end", ["by itself", "aborted", "by an error"])
def test_nothing_is_kept_of_a_sequence_that_has_ended(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("obeaver.engine.decoding.core"), "disabled", True)  # pytest keeps records
    failing = {"armed": False}
    runner = FakeRunner(fails=lambda method: failing["armed"] and method == "prefill_with_logits")
    told = engine_driver.EngineDriver(runner, engine_driver.settings(lookahead=7))
    grammar = _Text("start: 'a'")
    is_there = weakref.ref(grammar)
    told.add([5] * 10, 40, grammar=grammar, **FEW_WORDS)
    del grammar
    for _ in range(6):
        told.step()
    if end == "aborted":
        told.core.abort(0)
    failing["armed"] = end == "by an error"
    told.run()
    assert 0 in told.results
    told.sequences.clear()
    assert is_there() is None


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


class Recital:
    """A constraint as grammars are: a text that it all but forces, other ways to say the same, places of free choice.

    Args:
        text: Ids in order; None where every id may stand. Before a pair (2k, 2k+1) also 31 may come in place of both.
        honest: Whether what it calls forced is what it allows.
    """

    def __init__(self, text: Sequence[int | None], honest: bool) -> None:
        self._text = text
        self._honest = honest
        self._place = 0

    def allowed(self) -> Mask | None:
        mask = np.zeros(VOCAB_SIZE, bool)
        wanted = self._text[self._place]
        mask[slice(None) if wanted is None else [wanted]] = True
        mask[31] = wanted is None or self._may_shorten()
        return mask

    def forced(self) -> Sequence[int]:
        forced = list(itertools.takewhile(lambda each: each is not None, self._text[self._place :]))
        return [each for each in forced if each is not None] if self._honest else [30] * 5

    def accept(self, token_id: int) -> None:
        is_short = token_id == 31 and self._text[self._place] is not None
        self._place += 2 if is_short else 1

    @property
    def finished(self) -> bool:
        return self._place >= len(self._text)

    def _may_shorten(self) -> bool:
        pair = self._text[self._place : self._place + 2]
        return len(pair) == 2 and None not in pair and pair[0] % 2 == 0  # type: ignore[operator]


# Words of the text are long or short, and mostly different from those before.
RECITED = [None, 4, 5, 6, 7, 8, 9, None, None, 10, None, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, None, 24, 25]


def recited(lookahead: int, honest: bool, seed: int, **params: Any) -> tuple[list[SampledToken], FakeRunner, int]:
    """What a constrained sequence says, the runner that computed it, and how many of its tokens had been guessed."""
    runner, settings = FakeRunner(), engine_driver.settings(lookahead=lookahead)
    core = EngineCore(
        runner, settings, make_sampler=Sampler, make_constraint=lambda params: Recital(RECITED, honest=honest)
    )
    core.add(EngineSequence(0, tuple(PROMPT), SamplingParams(max_tokens=40, seed=seed, num_logprobs=3, **params)))
    said: list[SampledToken] = []
    while core.has_work:
        outcome = core.step()
        said += [token for _, token in outcome.advanced]
        for _, result in outcome.ended:
            assert isinstance(result, Finished)
            assert result.num_output_tokens == len(said)
            assert result.reason is FinishReason.STOP
    assert core.invariants() == []
    return said, runner, core.stats().totals.lookahead_tokens


class TestForcedText:
    @pytest.mark.parametrize("honest", [True, False], ids=["right", "wrong"])
    @pytest.mark.parametrize("temperature", [0.0, 1.0])
    @pytest.mark.parametrize("seed", range(6))
    def test_what_a_grammar_calls_forced_changes_no_token_and_no_log_probability(
        self, seed: int, temperature: float, honest: bool
    ) -> None:
        plain, _, num_guessed = recited(0, honest, seed, temperature=temperature)
        ahead, _, _ = recited(7, honest, seed, temperature=temperature)
        assert ahead == plain
        assert num_guessed == 0

    def test_it_is_computed_in_few_runs(self) -> None:
        # Nobody shortens, so all that is forced is what is said.
        plain, slow, _ = recited(0, True, 1, temperature=0, logit_bias={31: -100.0})
        ahead, _, num_guessed = recited(7, True, 1, temperature=0, logit_bias={31: -100.0})
        assert ahead == plain
        assert len(plain) == len(RECITED)
        assert len(slow.decode_runs) == len(RECITED) - 1
        assert num_guessed >= 15
        assert len(RECITED) - 1 - num_guessed <= 10
        assert sum(token_id is not None for token_id in RECITED) > num_guessed

    def test_who_calls_forced_what_never_comes_is_soon_not_listened_to(self) -> None:
        _, runner, num_guessed = recited(7, False, 2, temperature=0, logit_bias={30: -100.0, 31: -100.0})
        assert num_guessed == 0
        assert runner.num_prefilled < len(PROMPT) + 2 * len(RECITED)


def test_what_was_said_before_is_looked_for_behind_what_is_forced() -> None:
    assert History([1, 2, 3, 4, 5, 6, 9]).guess(3, after=[2, 3]) == [4, 5, 6]
    assert History([1, 2, 3]).guess(2, after=[7]) == []
