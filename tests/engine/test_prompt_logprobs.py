"""Log-probabilities of a prompt's tokens: those of the model's own logits, whatever happens around the sequence."""

import math
from collections.abc import Sequence as SequenceOf

import numpy as np
import pytest
from support.engine_driver import settings
from support.fake_runner import FakeRunner, expected_logits

from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.sequence import Sequence
from obeaver.engine.runners.runner import WHOLE, Logits, Part
from obeaver.engine.sampling.logprobs import ROWS_AT_ONCE
from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ApiError, EngineFailed

PROMPT = tuple(number * 7 % 31 for number in range(150))


def engine(runner: FakeRunner | None = None, *, prefix_tokens: int = 0, chunk: int = 256) -> EngineCore:
    chosen = settings(prefix_tokens=prefix_tokens, chunks=ChunkBudget(alone=chunk, base=chunk))
    return EngineCore(runner or FakeRunner(), chosen, make_sampler=Sampler)


def scoring(number: int, prompt_ids: SequenceOf[int], num_top: int | None = 2, max_tokens: int = 3) -> Sequence:
    params = SamplingParams(max_tokens=max_tokens, temperature=0, num_prompt_logprobs=num_top)
    return Sequence(number, tuple(prompt_ids), params)


def tokens_of(core: EngineCore, *sequences: Sequence) -> list[list[SampledToken]]:
    """All tokens of these sequences, run together."""
    for sequence in sequences:
        core.add(sequence)
    tokens: dict[int, list[SampledToken]] = {sequence.id: [] for sequence in sequences}
    while core.has_work:
        for sequence_id, token in core.step().advanced:
            tokens[sequence_id].append(token)
        assert core.invariants() == []
    return list(tokens.values())


def expected(prompt_ids: SequenceOf[int], place: int, num_top: int) -> TokenLogprobs:
    """What the softmax says, in plain floats."""
    logits = expected_logits(prompt_ids[:place], ()).tolist()
    log_total = math.log(sum(map(math.exp, logits)))
    ranked = sorted(range(len(logits)), key=lambda token_id: (-logits[token_id], token_id))
    top = tuple((token_id, logits[token_id] - log_total) for token_id in ranked[:num_top])
    return TokenLogprobs(logits[prompt_ids[place]] - log_total, top)


def check(found: SequenceOf[TokenLogprobs], prompt_ids: SequenceOf[int], num_top: int = 2) -> None:
    assert len(found) == len(prompt_ids) - 1
    for place, logprobs in enumerate(found, start=1):
        wanted = expected(prompt_ids, place, num_top)
        assert logprobs.logprob == pytest.approx(wanted.logprob, abs=1e-5)
        assert [token_id for token_id, _ in logprobs.top] == [token_id for token_id, _ in wanted.top]
        assert [value for _, value in logprobs.top] == pytest.approx([value for _, value in wanted.top], abs=1e-5)


@pytest.mark.parametrize("chunk", [1, 16, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 256])
def test_the_first_token_brings_those_of_the_prompt_however_it_was_cut(chunk: int) -> None:
    ((first, *others),) = tokens_of(engine(chunk=chunk), scoring(1, PROMPT))
    check(first.prompt_logprobs, PROMPT)
    assert [token.prompt_logprobs for token in others] == [(), ()]


@pytest.mark.parametrize("num_top", [0, 5])
def test_as_many_alternatives_as_asked_for(num_top: int) -> None:
    (tokens,) = tokens_of(engine(), scoring(1, PROMPT[:20], num_top))
    check(tokens[0].prompt_logprobs, PROMPT[:20], num_top)


def test_a_prompt_of_one_token_has_none() -> None:
    (tokens,) = tokens_of(engine(), scoring(1, [5]))
    assert tokens[0].prompt_logprobs == ()


def test_a_prompt_that_is_known_already_is_computed_all_the_same() -> None:
    core = engine(prefix_tokens=512)
    plain, scored, again = (
        tokens_of(core, scoring(number, PROMPT, num_top))[0] for number, num_top in enumerate([None, 2, None])
    )
    check(scored[0].prompt_logprobs, PROMPT)
    ids = [[token.token_id for token in tokens] for tokens in (plain, scored, again)]
    assert ids == [ids[0]] * 3
    assert core.stats().totals.cached_tokens == len(PROMPT) - 1


def test_sequences_side_by_side_each_get_their_own() -> None:
    core = engine(prefix_tokens=512, chunk=32)
    prompts = [PROMPT, (*PROMPT[:100], 1, 2, 3), PROMPT[50:]]
    found = tokens_of(core, *(scoring(number, prompt_ids) for number, prompt_ids in enumerate(prompts)))
    for tokens, prompt_ids in zip(found, prompts, strict=True):
        check(tokens[0].prompt_logprobs, prompt_ids)


class Broken(FakeRunner):
    """Its logits are no numbers."""

    def prefill_with_logits(
        self, row: int, token_ids: SequenceOf[int], start: int, *, decoded: bool = False, part: Part = WHOLE
    ) -> Logits:
        return np.full_like(super().prefill_with_logits(row, token_ids, start, decoded=decoded, part=part), np.nan)


@pytest.mark.parametrize(
    "runner",
    [FakeRunner(fails=lambda method: method == "prefill_with_logits"), Broken()],
    ids=["raises", "not-numbers"],
)
def test_a_run_that_fails_ends_this_sequence_alone(runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    core = engine(runner)
    core.add(scoring(1, PROMPT))
    core.add(scoring(2, PROMPT[:40], None))
    results: dict[int, object] = {}
    while core.has_work:
        results |= {ended.sequence_id: ended.result for ended in core.step().ended}
    assert isinstance(results[1], EngineFailed)
    assert not isinstance(results[2], ApiError)
    assert "prefill run" in caplog.text


def test_a_long_one_beside_a_stream_gets_all_of_its_own_part_by_part() -> None:
    runner = FakeRunner(num_parts=2)
    _, tokens = tokens_of(engine(runner, chunk=20), scoring(1, PROMPT[:5], None, max_tokens=60), scoring(2, PROMPT))
    check(tokens[0].prompt_logprobs, PROMPT)
    # The last part has their logits besides, so that all parts have a third less than others.
    assert max(runner.prefill_runs) == 2 * ChunkBudget(base=20).beside(1) * 2 // 3


def test_one_that_is_aborted_half_way_leaves_nothing_behind() -> None:
    core = engine(chunk=16)
    core.add(scoring(1, PROMPT))
    core.step()
    core.abort(1)
    core.step()
    ((first, *_),) = tokens_of(core, scoring(1, PROMPT[:30]))
    check(first.prompt_logprobs, PROMPT[:30])
