"""The sampler against a slow reference written from the definitions, in plain Python floats."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampler import Sampler, draw
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import EngineFailed

Row = npt.NDArray[np.float32]


def row(*values: float) -> Row:
    return np.array(values, np.float32)


def params(**changes: Any) -> SamplingParams:
    return replace(SamplingParams(max_tokens=1000, seed=0), **changes)


def sample_once(logits: Row, settings: SamplingParams, output: Sequence[int] = (), mask: Any = None) -> SampledToken:
    return Sampler(settings, (), logits.size).sample(logits, output, mask)


def counts_of(logits: Row, settings: SamplingParams, draws: int) -> Counter[int]:
    sampler = Sampler(settings, (), logits.size)
    return Counter(sampler.sample(logits, ()).token_id for _ in range(draws))


def reference_chances(logits: Row, wanted: SamplingParams, slack: float = 0.0) -> dict[int, float]:
    """Every token that may be drawn, with its chance. `slack` widens top-p and min-p by what rounding may change."""
    order = sorted(range(logits.size), key=lambda index: (-logits[index], index))
    order = order[: wanted.top_k or None]
    weights = [math.exp((float(logits[index]) - float(logits[order[0]])) / wanted.temperature) for index in order]
    total, kept, reached = sum(weights), 0, 0.0
    for weight in weights:
        if reached >= (wanted.top_p + slack) * total and wanted.top_p < 1:
            break
        reached += weight
        kept += 1
    allowed = {
        index: weight
        for index, weight in zip(order[:kept], weights[:kept], strict=True)
        if weight >= wanted.min_p - slack and weight > 0
    }
    return {index: weight / sum(allowed.values()) for index, weight in allowed.items()}


def assert_follows(observed: Counter[int], chances: dict[int, float]) -> None:
    """Chi-square within five deviations of its mean; the seeds are fixed, so this passes always or never."""
    assert set(observed) <= set(chances)
    draws = observed.total()
    common = [index for index, chance in chances.items() if chance * draws >= 5]
    statistic = sum((observed[i] - draws * chances[i]) ** 2 / (draws * chances[i]) for i in common)
    freedom = max(len(common) - 1, 1)
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


LOGITS = hnp.arrays(np.float32, st.integers(1, 700), elements=st.integers(-40, 40).map(lambda n: n / 4))


@given(
    LOGITS,
    st.sampled_from([0.1, 0.7, 1.0, 2.0]),
    st.sampled_from([0, 1, 3, 50, 1000]),
    st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    st.integers(),
)
@settings(max_examples=300)
def test_every_draw_is_one_that_the_definitions_allow(
    logits: Row, temperature: float, top_k: int, top_p: float, min_p: float, seed: int
) -> None:
    wanted = params(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    assert sample_once(logits, wanted).token_id in reference_chances(logits, wanted, slack=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 5},
        {"top_k": 50, "temperature": 0.8},
        {"top_p": 0.7},
        {"top_p": 0.95, "top_k": 20},
        {"min_p": 0.1},
        {"min_p": 0.05, "top_p": 0.8},
        {"min_p": 0.2, "top_k": 10, "top_p": 0.9, "temperature": 1.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [40, 1000])
def test_draws_follow_the_distribution_that_the_definitions_give(changes: dict[str, Any], size: int) -> None:
    logits = (np.random.default_rng(5).standard_normal(size) * 2).astype(np.float32)
    wanted = params(**changes, seed=11)
    assert_follows(counts_of(logits, wanted, 5000), reference_chances(logits, wanted))


def test_temperature_zero_takes_the_likeliest_and_the_lowest_of_ties() -> None:
    assert sample_once(row(1, 5, 5, 2), params(temperature=0)).token_id == 1


def test_one_candidate_is_the_greedy_choice_at_any_temperature() -> None:
    assert counts_of(row(1, 5, 5, 2), params(top_k=1, temperature=100), 50) == {1: 50}


@pytest.mark.parametrize("temperature", [1e-300, 1e-6])
def test_a_tiny_temperature_is_greedy(temperature: float) -> None:
    assert counts_of(row(0, 1, 2, -np.inf), params(temperature=temperature), 50) == {2: 50}


def test_a_huge_temperature_is_uniform_and_still_draws_nothing_impossible() -> None:
    observed = counts_of(row(0, 10, -10, -np.inf), params(temperature=1e300), 3000)
    assert_follows(observed, {0: 1 / 3, 1: 1 / 3, 2: 1 / 3})


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63, -(2**63), 2**200, 12345678901234567890])
def test_any_integer_is_a_seed_and_repeats_its_stream(seed: int) -> None:
    logits = np.zeros(1000, np.float32)
    streams = [
        [sampler.sample(logits, ()).token_id for _ in range(8)]
        for sampler in (Sampler(params(seed=seed), (), 1000), Sampler(params(seed=seed), (), 1000))
    ]
    assert streams[0] == streams[1]


def test_different_seeds_and_no_seed_give_different_streams() -> None:
    logits = np.zeros(50_000, np.float32)
    seeds = [0, 1, -1, 2**64, 2**64 + 1, None, None]
    assert len({sample_once(logits, params(seed=seed)).token_id for seed in seeds}) == len(seeds)


def test_the_logits_are_left_as_they_were() -> None:
    logits = (np.arange(300) % 7).astype(np.float32)
    before = logits.copy()
    logits.flags.writeable = False
    wanted = params(
        repetition_penalty=2.0,
        presence_penalty=1,
        frequency_penalty=1,
        logit_bias={3: 4.0},
        min_tokens=5,
        stop_token_ids=frozenset({6}),
        num_logprobs=3,
        top_p=0.5,
    )
    sample_once(logits, wanted, [1, 2, 2], np.ones(300, np.bool_))
    assert np.array_equal(logits, before)


@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 0}, {"top_k": 50}, {"top_p": 0.5}, {"num_logprobs": 1}], ids=str
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_fail_with_a_clear_error(changes: dict[str, Any], bad: float) -> None:
    logits = np.zeros(500, np.float32)
    logits[321] = bad
    with pytest.raises(EngineFailed, match="not a number"):
        sample_once(logits, params(**changes))


def test_logits_of_minus_infinity_alone_fail_with_a_clear_error() -> None:
    with pytest.raises(EngineFailed, match="not a number"):
        sample_once(np.full(10, -np.inf, np.float32), params())


class TestPenalties:
    def test_repetition_divides_positive_and_multiplies_negative_logits_of_prompt_and_output(self) -> None:
        greedy = params(temperature=0, repetition_penalty=2.0)
        assert Sampler(greedy, [0], 3).sample(row(3, 1, 2), ()).token_id == 2
        assert Sampler(greedy, [0], 3).sample(row(3, 1, 2), [2]).token_id == 0
        assert Sampler(greedy, [0], 2).sample(row(-1, -1.5), ()).token_id == 1

    def test_presence_counts_once_and_for_the_output_alone(self) -> None:
        greedy = params(temperature=0, presence_penalty=1.0)
        assert Sampler(greedy, [0], 2).sample(row(2, 0.5), [0, 0, 0]).token_id == 0
        assert Sampler(greedy, [0], 2).sample(row(2, 1.5), [0]).token_id == 1
        assert Sampler(greedy, [0], 2).sample(row(2, 1.5), ()).token_id == 0

    def test_frequency_counts_every_occurrence_in_the_output(self) -> None:
        greedy = params(temperature=0, frequency_penalty=1.0)
        assert Sampler(greedy, [0, 0, 0], 2).sample(row(2, 0.5), [0]).token_id == 0
        assert Sampler(greedy, [], 2).sample(row(2, 0.5), [0, 0]).token_id == 1

    def test_counts_go_on_from_call_to_call(self) -> None:
        sampler = Sampler(params(temperature=0, frequency_penalty=1.0), (), 3)
        output: list[int] = []
        for _ in range(6):
            output.append(sampler.sample(row(2.5, 1.25, 0), output).token_id)
        assert output == [0, 0, 1, 0, 1, 2]

    @given(LOGITS, st.lists(st.integers(0, 900), max_size=150), st.lists(st.integers(0, 900), max_size=150), st.data())
    def test_the_choice_is_that_of_the_formulas(
        self, logits: Row, prompt: list[int], output: list[int], data: st.DataObject
    ) -> None:
        strength = st.sampled_from([0.0, -1.5, 0.5, 2.0])
        wanted = params(
            temperature=0,
            repetition_penalty=data.draw(st.sampled_from([1.0, 0.5, 1.3])),
            presence_penalty=data.draw(strength),
            frequency_penalty=data.draw(strength),
        )
        expected = [float(value) for value in logits]
        for index, value in enumerate(logits.tolist()):
            if index in prompt or index in output:
                factor = wanted.repetition_penalty
                expected[index] = value / factor if value > 0 else value * factor
            count = output.count(index)
            expected[index] -= wanted.frequency_penalty * count + wanted.presence_penalty * (count > 0)
        chosen = Sampler(wanted, prompt, logits.size).sample(logits, output).token_id
        assert expected[chosen] == pytest.approx(max(expected), abs=1e-4)

    def test_enormous_penalties_make_no_infinity(self) -> None:
        assert sample_once(row(1, 2, -1), params(frequency_penalty=1e300), [0, 1]).token_id == 2
        assert Sampler(params(repetition_penalty=1e-300), [1], 3).sample(row(1, 2, -1), ()).token_id == 1

    def test_hundreds_of_seen_tokens_are_all_penalised(self) -> None:
        greedy = params(temperature=0, repetition_penalty=2.0)
        assert Sampler(greedy, range(200), 400).sample(np.ones(400, np.float32), range(200, 399)).token_id == 399


class TestLogitBias:
    def test_bias_is_added_to_the_logit(self) -> None:
        assert sample_once(row(1, 2, 3), params(temperature=0, logit_bias={0: 2.5})).token_id == 0
        assert sample_once(row(1, 2, 3), params(temperature=0, logit_bias={2: -1.5})).token_id == 1

    def test_ids_outside_the_vocabulary_are_passed_over(self) -> None:
        assert sample_once(row(1, 2, 3), params(temperature=0, logit_bias={3: 100, -1: 100})).token_id == 2

    def test_an_enormous_bias_makes_no_infinity(self) -> None:
        assert sample_once(row(1, 2, 3), params(logit_bias={1: 1e308})).token_id == 1


class TestMinTokens:
    ENDING = params(temperature=0, min_tokens=2, stop_token_ids=frozenset({1, 99}))

    @pytest.mark.parametrize(("output", "chosen"), [([], 2), ([2], 2), ([2, 2], 1)])
    def test_end_ids_are_forbidden_before_so_many_tokens(self, output: list[int], chosen: int) -> None:
        assert sample_once(row(1, 5, 3), self.ENDING, output).token_id == chosen

    def test_a_grammar_that_allows_nothing_but_the_end_wins(self) -> None:
        assert sample_once(row(1, 5, 3), self.ENDING, [], np.array([False, True, False])).token_id == 1

    def test_a_grammar_that_allows_more_keeps_the_end_forbidden(self) -> None:
        assert sample_once(row(1, 5, 3), self.ENDING, [], np.array([True, True, False])).token_id == 0


class TestMask:
    @pytest.mark.parametrize(
        "changes", [{"temperature": 0}, {"top_k": 50}, {}, {"top_p": 0.9}, {"min_p": 0.1}], ids=str
    )
    def test_only_allowed_tokens_are_drawn(self, changes: dict[str, Any]) -> None:
        logits = np.random.default_rng(1).standard_normal(600).astype(np.float32)
        mask = np.zeros(600, np.bool_)
        mask[[7, 400]] = True
        sampler = Sampler(params(**changes), (), 600)
        assert {sampler.sample(logits, (), mask).token_id for _ in range(40)} <= {7, 400}

    def test_ids_beyond_the_end_of_the_mask_are_forbidden(self) -> None:
        assert sample_once(row(1, 2, 30), params(), (), np.array([True, False])).token_id == 0

    def test_a_mask_wider_than_the_logits_is_cut(self) -> None:
        assert sample_once(row(1, 2), params(), (), np.array([True, False, True])).token_id == 0

    @pytest.mark.parametrize("changes", [{"temperature": 0}, {"top_k": 50}, {}], ids=str)
    def test_a_mask_that_allows_nothing_fails_with_a_clear_error(self, changes: dict[str, Any]) -> None:
        with pytest.raises(EngineFailed, match="No token is left"):
            sample_once(row(1, 2, 3), params(**changes), (), np.zeros(3, np.bool_))


class TestLogprobs:
    def test_none_are_reported_unless_asked_for(self) -> None:
        assert sample_once(row(1, 2), params()).logprobs is None

    def test_zero_reports_the_chosen_token_alone(self) -> None:
        token = sample_once(row(0, 0), params(num_logprobs=0))
        assert token.logprobs is not None
        assert token.logprobs.logprob == pytest.approx(math.log(0.5))
        assert token.logprobs.top == ()

    def test_they_are_those_of_the_model_whatever_penalties_and_filters_change(self) -> None:
        logits = row(1, 2, 3, 2)
        wanted = params(num_logprobs=3, temperature=0, logit_bias={0: 50}, repetition_penalty=3.0)
        token = sample_once(logits, wanted, [2], np.array([True, True, False, True]))
        total = math.log(sum(math.exp(value) for value in logits.tolist()))
        assert token.token_id == 0
        assert token.logprobs is not None
        assert token.logprobs.logprob == pytest.approx(1 - total, abs=1e-6)
        assert [token_id for token_id, _ in token.logprobs.top] == [2, 1, 3]
        assert [value for _, value in token.logprobs.top] == pytest.approx([3 - total, 2 - total, 2 - total], abs=1e-6)

    def test_more_than_the_vocabulary_gives_the_vocabulary_without_impossible_tokens(self) -> None:
        token = sample_once(row(1, -np.inf, 3), params(num_logprobs=20))
        assert token.logprobs is not None
        assert [token_id for token_id, _ in token.logprobs.top] == [2, 0]


class TestDraw:
    @pytest.mark.parametrize("size", [3, 128, 129, 1000])
    @pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
    def test_a_place_of_weight_zero_is_never_drawn(self, size: int, uniform: float) -> None:
        weights = np.zeros(size, np.float32)
        weights[size // 2] = 0.3
        assert draw(weights, uniform) == size // 2

    @given(hnp.arrays(np.float32, st.integers(1, 600), elements=st.integers(0, 5).map(float)), st.integers(0, 999))
    def test_the_place_is_where_the_running_sum_passes_the_share(self, weights: Row, per_mille: int) -> None:
        weights[0] = 1
        target = (per_mille + 0.5) / 1000 * float(weights.sum())
        place = draw(weights, (per_mille + 0.5) / 1000)
        assert weights[:place].sum() <= target * (1 + 1e-6)
        assert weights[: place + 1].sum() >= target * (1 - 1e-6)
