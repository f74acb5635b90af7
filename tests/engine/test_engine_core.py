"""EngineCore over the fake runner: every answer must be what the sequence gives alone, whatever happens around it."""

from collections.abc import Sequence as SequenceOf

import numpy as np
import pytest
from support.engine_driver import EngineDriver, outputs_alone, settings
from support.fake_runner import BYTES_PER_TOKEN, VOCAB_SIZE, FakeRunner

from obeaver.engine.decoding.chooser import MakeConstraint, MakeSampler, Mask, TokenSampler, unconstrained
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.sequence import Finished, FinishReason, Sequence
from obeaver.engine.runners.runner import KvShape, Logits
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import BadRequest, ContextLengthExceeded, EngineFailed, GrammarTooComplex

STEM = tuple(number % 29 for number in range(120))
SEEDED = {"temperature": 1.5, "top_k": 20, "top_p": 0.95}
GREEDY = SamplingParams(max_tokens=6, temperature=0)


def prompt(length: int, first: int = 0) -> tuple[int, ...]:
    return tuple((first + 7 * place) % 31 for place in range(length))


class Failing:
    """Answers for the fake runner's `fails`: a method named here fails once."""

    def __init__(self) -> None:
        self.next: set[str] = set()

    def __call__(self, method: str) -> bool:
        fails = method in self.next
        self.next.discard(method)
        return fails


class TestAnswers:
    def test_alone(self) -> None:
        driver = EngineDriver()
        driver.add(prompt(300), max_tokens=30)
        driver.run()
        driver.check_outputs()

    def test_batched_with_seven_others(self) -> None:
        driver = EngineDriver()
        for number in range(8):
            driver.add(prompt(20 + 11 * number, number), max_tokens=30, seed=number, **SEEDED)
        driver.run()
        driver.check_outputs()
        assert max(driver.runner.decode_runs) == 8

    def test_admitted_late(self) -> None:
        driver = EngineDriver()
        for number in range(6):
            driver.add(prompt(90, number), max_tokens=20, seed=number, **SEEDED)
            driver.step()
            driver.step()
        driver.run()
        driver.check_outputs()

    def test_after_others_left_and_rows_moved(self) -> None:
        driver = EngineDriver()
        for number in range(8):
            driver.add(prompt(30, number), max_tokens=3 + 4 * ((number * 5) % 8), seed=number)
        driver.run()
        driver.check_outputs()
        assert driver.runner.num_moves > 0

    def test_after_a_row_was_used_before(self) -> None:
        driver = EngineDriver()
        driver.add(prompt(200, 1), max_tokens=20)
        driver.run()
        driver.add(prompt(40, 2), max_tokens=20)
        driver.run()
        driver.check_outputs()

    def test_while_the_buffers_grow(self) -> None:
        driver = EngineDriver()
        driver.add(prompt(10), max_tokens=400)
        shapes = set()
        while driver.core.has_work:
            driver.step()
            shapes.add(driver.runner.shape)
        driver.check_outputs()
        assert len(shapes) >= 3

    def test_after_a_prefix_hit(self) -> None:
        driver = EngineDriver(engine_settings=settings(prefix_tokens=512))
        driver.add(STEM, max_tokens=20)
        driver.run()
        second = driver.add((*STEM, 1, 2, 3), max_tokens=20)
        driver.run()
        driver.check_outputs()
        assert driver.finished(second).num_cached_tokens == 120
        assert driver.runner.prefill_runs[-1] == 3

    def test_in_the_second_turn_of_a_conversation(self) -> None:
        driver = EngineDriver(engine_settings=settings(prefix_tokens=512))
        first = driver.add(STEM, max_tokens=20)
        driver.run()
        history = (*STEM, *driver.outputs[first])
        second = driver.add((*history, 4, 5, 6), max_tokens=20)
        driver.run()
        driver.check_outputs()
        assert driver.finished(second).num_cached_tokens == len(history) - 1

    def test_of_several_choices_for_one_prompt_that_is_computed_once(self) -> None:
        driver = EngineDriver(engine_settings=settings(prefix_tokens=512))
        for seed in range(4):
            driver.add(STEM, max_tokens=10, seed=seed, **SEEDED)
        driver.run()
        driver.check_outputs()
        assert driver.runner.prefill_runs == [120, 1, 1, 1]
        assert len({tuple(outputs) for outputs in driver.outputs.values()}) == 4

    def test_without_a_prefix_cache_on_a_runner_that_cannot_copy(self) -> None:
        driver = EngineDriver(FakeRunner(can_copy_kv=False), settings(prefix_tokens=512))
        for seed in range(4):
            driver.add(STEM, max_tokens=10, seed=seed)
        driver.run()
        driver.check_outputs()
        assert driver.core.admission.budget_bytes == (4096 + 512) * BYTES_PER_TOKEN

    def test_on_a_runner_that_decodes_otherwise_than_it_prefills_only_prompts_are_kept(self) -> None:
        driver = EngineDriver(FakeRunner(decodes_as_prefill=False), settings(prefix_tokens=512))
        first = driver.add(STEM, max_tokens=20)
        driver.run()
        second = driver.add((*STEM, *driver.outputs[first], 3), max_tokens=20)
        driver.run()
        driver.check_outputs()
        assert driver.finished(second).num_cached_tokens == len(STEM)

    def test_without_a_seed_two_runs_differ(self) -> None:
        driver = EngineDriver()
        for _ in range(2):
            sequence = Sequence(len(driver.sequences), STEM, SamplingParams(max_tokens=30, temperature=2.0))
            driver.sequences[sequence.id] = sequence
            driver.outputs[sequence.id] = []
            driver.core.add(sequence)
        driver.run()
        assert driver.outputs[0] != driver.outputs[1]


class TestStoring:
    def kept(self, *, beside: int) -> list[int]:
        """Tokens that are stored after each step of a prompt of 1,000, beside others that decode."""
        driver = EngineDriver(FakeRunner(context_length=2048), settings(16_384, 4096))
        for number in range(beside):
            driver.add((number,), max_tokens=400)
            driver.step()
        last = driver.add(prompt(1000))
        kept = []
        while not driver.outputs[last]:
            assert last not in driver.results
            driver.step()
            kept.append(driver.core.stats().prefix_cache_bytes // BYTES_PER_TOKEN)
        driver.run()
        driver.check_outputs()
        return kept

    def test_a_long_prompt_is_stored_by_and_by_while_others_decode(self) -> None:
        kept = self.kept(beside=2)
        assert sorted(set(kept)) == [0, 256, 512, 768]
        assert kept == sorted(kept)

    def test_alone_it_is_stored_when_its_client_has_been_told(self) -> None:
        assert set(self.kept(beside=0)) == {0}

    def test_what_is_stored_of_a_prompt_serves_another_one_that_begins_alike(self) -> None:
        driver = EngineDriver(FakeRunner(context_length=2048), settings(16_384, 4096))
        driver.add(STEM, max_tokens=400)
        driver.step()
        first = driver.add(prompt(1000))
        while driver.core.stats().prefix_cache_bytes == 0:
            assert first not in driver.results
            driver.step()
        driver.core.abort(first)
        second = driver.add((*prompt(300), 5))
        driver.run()
        driver.check_outputs()
        assert driver.finished(second).num_cached_tokens >= 256


class TestEnds:
    def test_memory_goes_back_when_the_last_one_has_left(self) -> None:
        driver = EngineDriver()
        for number in range(4):
            driver.add(prompt(200, number))
        driver.run()
        assert driver.runner.shape == KvShape(1, 128)
        assert driver.core.stats().kv_used_bytes == 128 * BYTES_PER_TOKEN

    def test_buffers_never_pass_the_budget(self) -> None:
        driver = EngineDriver(engine_settings=settings(row_tokens=1024))
        for number in range(20):
            driver.add(prompt(10 + number * 20, number), max_tokens=60, seed=number)
        driver.run()
        driver.check_outputs()
        assert driver.runner.largest_bytes <= 1024 * BYTES_PER_TOKEN

    def test_an_aborted_sequence_is_reported_once_and_its_row_is_free_at_once(self) -> None:
        driver = EngineDriver(engine_settings=settings(max_rows=1))
        first, second = driver.add(STEM, max_tokens=50), driver.add(prompt(5), max_tokens=5)
        driver.step()
        driver.step()
        driver.core.abort(first)
        driver.core.abort(first)
        assert driver.step() == 1
        assert driver.finished(first).reason is FinishReason.ABORTED
        assert len(driver.outputs[second]) == 1
        driver.run()
        driver.check_outputs()
        assert driver.core.stats().totals.finished[FinishReason.ABORTED] == 1

    def test_what_an_aborted_sequence_computed_serves_the_next_one(self) -> None:
        driver = EngineDriver(engine_settings=settings(prefix_tokens=512))
        first = driver.add(STEM, max_tokens=50)
        driver.step()
        driver.core.abort(first)
        second = driver.add((*STEM, 5))
        driver.run()
        assert driver.finished(second).num_cached_tokens == len(STEM)

    def test_an_unknown_id_is_ignored(self) -> None:
        driver = EngineDriver()
        driver.core.abort(99)
        assert not driver.core.has_work

    def test_a_sequence_that_can_never_fit_ends_with_an_error_and_nothing_else_happens(self) -> None:
        driver = EngineDriver()
        refused = driver.add(prompt(512), max_tokens=1)
        driver.run()
        assert isinstance(driver.results[refused], ContextLengthExceeded)
        assert driver.runner.prefill_runs == []

    def test_totals_count_every_token(self) -> None:
        driver = EngineDriver(engine_settings=settings(prefix_tokens=512))
        driver.add(STEM, max_tokens=10)
        driver.run()
        driver.add((*STEM, 1), max_tokens=1)
        driver.run()
        totals = driver.core.stats().totals
        assert (totals.prompt_tokens, totals.cached_tokens, totals.generated_tokens) == (241, 120, 11)
        assert totals.finished == {
            FinishReason.STOP: 0,
            FinishReason.LENGTH: 2,
            FinishReason.ABORTED: 0,
            FinishReason.FAILED: 0,
        }

    def test_closing_closes_the_runner(self) -> None:
        driver = EngineDriver()
        driver.core.close()
        assert driver.runner.is_closed


class TestFailures:
    def driver(self, prefix_tokens: int = 512) -> tuple[EngineDriver, Failing]:
        failing = Failing()
        return EngineDriver(FakeRunner(fails=failing), settings(prefix_tokens=prefix_tokens)), failing

    def test_a_failed_decode_run_ends_its_batch_and_no_other(self) -> None:
        driver, failing = self.driver()
        batch = [driver.add(prompt(20, number)) for number in range(2)]
        driver.step()
        newcomer = driver.add(prompt(30, 3))
        failing.next = {"decode"}
        driver.step()
        assert [type(driver.results[sequence_id]) for sequence_id in batch] == [EngineFailed, EngineFailed]
        driver.run()
        driver.check_outputs()
        assert driver.finished(newcomer).reason is FinishReason.LENGTH

    @pytest.mark.parametrize("steps", [0, 1, 2])
    def test_a_failed_prefill_run_ends_its_sequence_and_no_other(self, steps: int) -> None:
        driver, failing = self.driver()
        running = driver.add(prompt(20))
        driver.step()
        failed, waiting = driver.add(prompt(250, 1)), driver.add(prompt(200, 2))
        for _ in range(steps):
            driver.step()
        failing.next = {"prefill"}
        driver.step()
        assert isinstance(driver.results[failed], EngineFailed)
        driver.run()
        driver.check_outputs()
        assert {driver.finished(s).reason for s in (running, waiting)} == {FinishReason.LENGTH}
        assert driver.core.stats().totals.finished[FinishReason.FAILED] == 1

    @pytest.mark.parametrize("method", ["read_kv", "write_kv"])
    def test_a_prefix_that_cannot_be_copied_ends_the_one_that_wanted_it(self, method: str) -> None:
        driver, failing = self.driver()
        driver.add(STEM, max_tokens=30)
        driver.step()
        unlucky, lucky = driver.add((*STEM, 1)), driver.add((*STEM, 2))
        failing.next = {method}
        driver.step()
        assert isinstance(driver.results[unlucky], EngineFailed)
        driver.run()
        driver.check_outputs()
        assert driver.finished(lucky).num_cached_tokens == len(STEM)

    def test_a_prefix_that_cannot_be_stored_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        driver, failing = self.driver()
        driver.add(STEM)
        failing.next = {"read_kv"}
        driver.run()
        second = driver.add((*STEM, 1))
        driver.run()
        driver.check_outputs()
        assert driver.finished(second).num_cached_tokens == 0
        assert "could not be stored" in caplog.text

    def test_a_long_prompt_that_cannot_be_stored_by_and_by_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        driver, failing = self.driver(2048)
        driver.add(STEM, max_tokens=100)
        driver.step()
        driver.add(prompt(400))
        failing.next = {"read_kv"}
        driver.run()
        driver.check_outputs()
        assert "could not be stored" in caplog.text

    def test_a_short_prompt_passes_a_long_one_and_both_say_what_they_say_alone(self) -> None:
        driver, _ = self.driver(2048)
        driver.add(prompt(20), max_tokens=60)
        driver.step()
        long, short = driver.add(prompt(400, 1), max_tokens=30), driver.add(prompt(90, 2), max_tokens=20)
        driver.run()
        driver.check_outputs()
        assert list(driver.results).index(short) < list(driver.results).index(long)
        assert driver.runner.num_swaps > 0

    def test_rows_that_cannot_change_end_all_who_run_and_the_engine_lives_on(self) -> None:
        driver, failing = self.driver(2048)
        running = driver.add(prompt(20), max_tokens=60)
        driver.step()
        long, short = driver.add(prompt(400, 1)), driver.add(prompt(90, 2))
        failing.next = {"swap_rows"}
        driver.run()
        assert all(isinstance(driver.results[each], EngineFailed) for each in (running, long, short))
        again = driver.add(prompt(90, 2))
        driver.run()
        driver.check_outputs()
        assert driver.finished(again).reason is FinishReason.LENGTH

    @pytest.mark.parametrize("method", ["move_row", "resize"])
    def test_rows_that_cannot_be_rearranged_end_all_who_run_and_the_engine_lives_on(self, method: str) -> None:
        driver, failing = self.driver()
        running = [driver.add(prompt(60, number), max_tokens=4 + 200 * number) for number in range(3)]
        while running[0] not in driver.results:
            driver.step()
        waiting = driver.add(prompt(30, 9))
        failing.next = {method}
        driver.run()
        ends = [driver.results[sequence_id] for sequence_id in running]
        assert [type(end) for end in ends[1:]] == [EngineFailed, EngineFailed]
        driver.check_outputs()
        assert driver.finished(waiting).reason is FinishReason.LENGTH

    def test_buffers_that_cannot_even_be_made_anew_are_the_end_of_the_engine(self) -> None:
        fails: list[str] = []
        driver = EngineDriver(FakeRunner(fails=lambda method: method in fails))
        driver.add(prompt(300))
        fails.append("resize")
        with pytest.raises(RuntimeError, match="resize fails"):
            driver.step()


class FailsAtTheThirdToken:
    """A sampler that works twice."""

    def __init__(self, params: SamplingParams, prompt_ids: SequenceOf[int], vocab_size: int) -> None:
        self._inner = Sampler(params, prompt_ids, vocab_size)

    def sample(self, logits: Logits, output_ids: SequenceOf[int], mask: Mask | None) -> SampledToken:
        if len(output_ids) == 2:
            raise ZeroDivisionError
        return self._inner.sample(logits, output_ids, mask)


class FourEvenIds:
    """A constraint that is complete after four tokens."""

    def __init__(self) -> None:
        self._num_accepted = 0

    def allowed(self) -> Mask | None:
        return np.array([token_id % 2 == 0 for token_id in range(VOCAB_SIZE)])

    def forced(self) -> SequenceOf[int]:
        return ()

    def accept(self, token_id: int) -> None:
        assert token_id % 2 == 0
        self._num_accepted += 1

    @property
    def finished(self) -> bool:
        return self._num_accepted == 4


def run_pair(make_sampler: MakeSampler, make_constraint: MakeConstraint, **odd: str) -> dict[int, list[object]]:
    """Two sequences side by side, the first with odd parameters; all that they gave, and their ends."""
    core = EngineCore(FakeRunner(), settings(), make_sampler=make_sampler, make_constraint=make_constraint)
    core.add(Sequence(0, prompt(9), SamplingParams(max_tokens=6, temperature=0, **odd)))  # type: ignore[arg-type]
    core.add(Sequence(1, prompt(9, 1), SamplingParams(max_tokens=6, temperature=0)))
    given: dict[int, list[object]] = {0: [], 1: []}
    while core.has_work:
        outcome = core.step()
        for sequence_id, token in outcome.advanced:
            given[sequence_id].append(token.token_id)
        for sequence_id, result in outcome.ended:
            given[sequence_id].append(result)
    return given


class TestChoosing:
    def test_a_sampler_that_fails_ends_its_sequence_and_no_other(self) -> None:
        def make(params: SamplingParams, prompt_ids: SequenceOf[int], vocab_size: int) -> TokenSampler:
            kind = FailsAtTheThirdToken if prompt_ids[0] == 0 else Sampler
            return kind(params, prompt_ids, vocab_size)

        given = run_pair(make, unconstrained)
        assert len(given[0]) == 3
        assert isinstance(given[0][-1], EngineFailed)
        assert given[1] == [*outputs_alone(prompt(9, 1), GREEDY), Finished(FinishReason.LENGTH, 9, 0, 6)]

    def test_a_constraint_decides_what_may_come_and_when_it_is_over(self) -> None:
        given = run_pair(Sampler, lambda params: FourEvenIds() if params.grammar else None, grammar="even")
        *tokens, result = given[0]
        assert all(isinstance(token, int) and token % 2 == 0 for token in tokens)
        assert result == Finished(FinishReason.STOP, 9, 0, 4)
        assert given[1][:-1] == outputs_alone(prompt(9, 1), GREEDY)

    def test_an_answer_whose_grammar_finds_no_way_on_is_cut_there(self, caplog: pytest.LogCaptureFixture) -> None:
        class NoWayOn(FourEvenIds):
            def allowed(self) -> Mask | None:
                if self._num_accepted == 2:
                    raise GrammarTooComplex("nothing follows") from ValueError("what was said")
                return super().allowed()

        given = run_pair(Sampler, lambda params: NoWayOn() if params.grammar else None, grammar="even")
        assert given[0][-1] == Finished(FinishReason.LENGTH, 9, 0, 2)
        assert given[1][:-1] == outputs_alone(prompt(9, 1), GREEDY)
        assert "an answer is cut: nothing follows" in caplog.text
        assert "what was said" not in caplog.text

    def test_a_grammar_that_does_not_compile_is_that_clients_error(self) -> None:
        error = BadRequest("The grammar is wrong.", param="response_format")

        def make(params: SamplingParams) -> None:
            if params.grammar:
                raise error

        given = run_pair(Sampler, make, grammar="wrong")
        assert given[0] == [error]
        assert given[1][:-1] == outputs_alone(prompt(9, 1), GREEDY)
