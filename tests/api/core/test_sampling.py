"""Sampling parameters of a request, in the engine's terms."""

from typing import Any

import pytest

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.sampling import Sampling, choice_seed, sampling_params
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest


def request(**parameters: Any) -> Sampling:
    return parse_chat_request({"messages": [{"role": "user", "content": "Hi"}], **parameters}).sampling


def params(room: int = 10_000, **parameters: Any) -> list[SamplingParams]:
    return sampling_params(request(**parameters), room=room, vocab_size=100, end_ids=(2, 3), grammar=None)


def test_defaults_are_those_of_the_schema() -> None:
    assert params() == [
        SamplingParams(max_tokens=1024, temperature=1.0, top_k=50, stop_token_ids=frozenset({2, 3}), seed=None)
    ]


def test_every_parameter_reaches_the_engine() -> None:
    given: dict[str, Any] = {
        "max_tokens": 7,
        "min_tokens": 3,
        "temperature": 0.5,
        "top_k": 4,
        "top_p": 0.25,
        "min_p": 0.125,
        "repetition_penalty": 1.5,
        "presence_penalty": -1.0,
        "frequency_penalty": 2.0,
        "seed": 11,
    }
    (made,) = params(**given, logit_bias={"5": 1, "6": -100}, logprobs=True, top_logprobs=2)
    assert {name: getattr(made, name) for name in given} == given
    assert made.logit_bias == {5: 1.0, 6: -100.0}
    assert made.num_logprobs == 2


def test_max_completion_tokens_wins() -> None:
    assert params(max_tokens=5, max_completion_tokens=9)[0].max_tokens == 9
    assert params(max_tokens=9, max_completion_tokens=5)[0].max_tokens == 5


@pytest.mark.parametrize(("room", "expected"), [(3, 3), (20, 10), (0, 1), (-5, 1)])
def test_the_limit_is_clipped_to_the_room_and_stays_a_limit_where_there_is_none(room: int, expected: int) -> None:
    assert params(room=room, max_tokens=10)[0].max_tokens == expected


def test_ignore_eos_leaves_no_id_that_ends_the_answer() -> None:
    assert params(ignore_eos=True)[0].stop_token_ids == frozenset()


def test_logprobs_without_alternatives_are_the_chosen_tokens_own() -> None:
    assert params(logprobs=True)[0].num_logprobs == 0
    assert params()[0].num_logprobs is None


def test_a_bias_for_an_id_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        params(logit_bias={"100": 1})
    assert (refused.value.param, refused.value.code) == ("logit_bias", "invalid_value")


def test_the_first_choice_has_the_seed_of_a_single_one_and_the_others_their_own() -> None:
    seeds = [made.seed for made in params(n=4, seed=7)]
    assert seeds[0] == params(seed=7)[0].seed == 7
    assert len(set(seeds)) == 4
    assert seeds == [made.seed for made in params(n=4, seed=7)]
    assert not set(seeds[1:]) & {made.seed for made in params(n=4, seed=8)}


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("index", [0, 1])
def test_every_seed_of_the_schema_becomes_one_that_the_engine_takes(seed: int, index: int) -> None:
    made = choice_seed(seed, index)
    assert made is not None
    assert 0 <= made < 2**64


def test_without_a_seed_no_choice_has_one() -> None:
    assert [made.seed for made in params(n=2)] == [None, None]


@pytest.mark.parametrize(("stop", "expected"), [(None, []), ("a", ["a"]), (["a", "b"], ["a", "b"]), ([], [])])
def test_stop_is_one_string_or_several(stop: object, expected: list[str]) -> None:
    assert request(stop=stop).stop == tuple(expected)
