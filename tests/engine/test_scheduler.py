"""The scheduler's specification. No model runs here: plans are made, looked at, and committed with invented tokens."""

import pytest
from support.fake_runner import BYTES_PER_TOKEN, closed_form

from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.kv_slots import KvSlots
from obeaver.engine.decoding.plan import Computed, Ended, RowPrefix, RowResult, Sampled, StepOutcome, StepPlan
from obeaver.engine.decoding.prefix_cache import PrefixCache, PrefixMatch
from obeaver.engine.decoding.scheduler import MIN_GAIN, MIN_PREFIX, MIN_START, MOST_PASSED, Scheduler
from obeaver.engine.decoding.sequence import Finished, FinishReason, Sequence, SequenceId, Status
from obeaver.engine.runners.runner import KvShape
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ContextLengthExceeded, EngineFailed

TOKEN = 5
END = 9
CHUNKS = ChunkBudget(alone=256, base=56, per_row=8)


class Engine:
    """A scheduler, its parts, and a step that samples the same token for everybody."""

    def __init__(
        self,
        *,
        row_tokens: int = 32768,
        prefix_tokens: int = 1024,
        max_rows: int = 8,
        can_copy: bool = True,
        match_outputs: bool = True,
    ) -> None:
        self.admission = Admission(2048, BYTES_PER_TOKEN, max_rows, row_tokens * BYTES_PER_TOKEN)
        self.slots = KvSlots(self.admission.smallest)
        self.cache = PrefixCache(prefix_tokens * BYTES_PER_TOKEN, BYTES_PER_TOKEN)
        prefix = self.cache if can_copy else None
        self.scheduler = Scheduler(self.admission, CHUNKS, self.slots, prefix, match_outputs=match_outputs)
        self.num_added = 0

    def add(self, prompt: int | tuple[int, ...], max_tokens: int = 50) -> Sequence:
        """A number makes a prompt of that length that shares nothing with any other."""
        self.num_added += 1
        ids = (
            tuple(range(self.num_added * 10_000, self.num_added * 10_000 + prompt))
            if isinstance(prompt, int)
            else prompt
        )
        params = SamplingParams(max_tokens=max_tokens, stop_token_ids=frozenset({END}))
        sequence = Sequence(self.num_added, ids, params)
        self.scheduler.add(sequence)
        return sequence

    def remember(self, token_ids: tuple[int, ...]) -> None:
        self.cache.insert(token_ids, lambda start, stop: closed_form(token_ids, 0)[:, :, :, start:stop].copy())

    def commit(self, plan: StepPlan, changed: dict[SequenceId, RowResult] | None = None) -> StepOutcome:
        results: dict[SequenceId, RowResult] = {}
        for sequence_id in plan.decode.sequence_ids if plan.decode else ():
            results[sequence_id] = Sampled(SampledToken(TOKEN))
        for chunk in plan.prefills:
            results[chunk.sequence_id] = Sampled(SampledToken(TOKEN)) if chunk.is_last else Computed()
        return self.scheduler.commit(plan, results | (changed or {}))

    def step(self, changed: dict[SequenceId, RowResult] | None = None) -> StepPlan:
        for sequence in self.scheduler.ended_rows():
            self.scheduler.release(sequence)
        plan = self.scheduler.plan()
        self.commit(plan, changed)
        assert self.scheduler.invariants() == []
        return plan

    def decoding(self, number: int) -> list[Sequence]:
        """So many sequences that decode."""
        sequences = [self.add(3) for _ in range(number)]
        self.step()
        assert all(sequence.status is Status.DECODE for sequence in sequences)
        return sequences


def chunk_sizes(plan: StepPlan) -> list[int]:
    return [len(chunk.token_ids) for chunk in plan.prefills]


def started(plan: StepPlan) -> list[SequenceId]:
    return [chunk.sequence_id for chunk in plan.prefills]


class TestPlanning:
    def test_planning_changes_nothing(self) -> None:
        engine = Engine()
        engine.decoding(2)
        engine.add(300)
        before = [(s.id, s.row, s.num_computed) for s in engine.slots.owners()]
        plans = [engine.scheduler.plan() for _ in range(3)]
        assert plans[0] == plans[1] == plans[2]
        assert [(s.id, s.row, s.num_computed) for s in engine.slots.owners()] == before
        assert engine.scheduler.num_waiting == 1

    def test_without_sequences_a_plan_is_empty(self) -> None:
        assert Engine().scheduler.plan() == StepPlan()

    def test_a_prompt_is_computed_from_its_first_token_to_its_last_and_then_decodes(self) -> None:
        engine = Engine()
        sequence = engine.add(300)
        chunks = [engine.step().prefills[0] for _ in range(2)]
        assert [(chunk.start, chunk.stop, chunk.is_last) for chunk in chunks] == [(0, 256, False), (256, 300, True)]
        batch = engine.step().decode
        assert batch is not None
        assert (batch.sequence_ids, batch.token_ids, batch.lengths) == ((sequence.id,), (TOKEN,), (300,))

    def test_decoding_rows_come_in_the_order_of_their_rows(self) -> None:
        engine = Engine()
        sequences = engine.decoding(3)
        batch = engine.step().decode
        assert batch is not None
        assert batch.sequence_ids == tuple(s.id for s in sequences)
        assert [s.row for s in sequences] == [0, 1, 2]


class TestRunningStreams:
    def test_every_decoding_sequence_is_in_every_step_whatever_prompts_wait(self) -> None:
        engine = Engine()
        engine.decoding(3)
        engine.add(1500)
        for _ in range(10):
            batch = engine.step().decode
            assert batch is not None
            assert len(batch.sequence_ids) >= 3

    def test_prompts_beside_running_streams_come_in_small_chunks(self) -> None:
        engine = Engine()
        engine.decoding(1)
        engine.add(1500)
        assert chunk_sizes(engine.step()) == [64]

    def test_chunks_are_larger_when_many_rows_decode_because_their_own_step_is_longer(self) -> None:
        engine = Engine()
        engine.decoding(7)
        engine.add(1500)
        assert chunk_sizes(engine.step()) == [112]

    def test_chunks_become_shorter_the_further_back_their_tokens_look(self) -> None:
        engine = Engine()
        engine.add(3, max_tokens=500)
        engine.step()
        long = engine.add(1950)
        sizes = []
        while long.status is not Status.DECODE:
            sizes += chunk_sizes(engine.step())
        assert sizes == sorted(sizes, reverse=True)
        assert (sizes[0], sizes[-2]) == (64, 64 * CHUNKS.doubling // (CHUNKS.doubling + 1950 - sizes[-1] - sizes[-2]))

    def test_what_a_prefix_hit_leaves_to_compute_is_priced_by_its_place(self) -> None:
        engine = Engine()
        engine.remember(tuple(range(CHUNKS.doubling)))
        engine.add(tuple(range(CHUNKS.doubling + 400)))
        assert chunk_sizes(engine.step()) == [CHUNKS.alone // 2]

    def test_however_little_a_prefix_hit_leaves_to_compute_a_run_is_charged_as_one(self) -> None:
        engine = Engine(max_rows=16)
        engine.remember(tuple(range(100)))
        engine.decoding(4)
        waiting = [engine.add((*range(100), 1000 + index), max_tokens=1) for index in range(12)]
        sizes = [chunk_sizes(engine.step()) for _ in range(4)]
        most = -(-CHUNKS.beside(4) // MIN_START)
        assert sizes == [[1] * most] * (len(waiting) // most)

    def test_alone_a_prompt_takes_the_whole_budget(self) -> None:
        engine = Engine()
        engine.add(1500)
        assert chunk_sizes(engine.step()) == [256]

    @pytest.mark.parametrize("num_decoding", range(40))
    def test_no_step_has_more_prompt_tokens_than_one_without_streams(self, num_decoding: int) -> None:
        assert 1 <= CHUNKS.beside(num_decoding) <= CHUNKS.alone

    @pytest.mark.parametrize("start", [0, 1, 639, 640, 5000])
    @pytest.mark.parametrize("budget", [1, 16, 64, 256])
    def test_what_a_budget_buys_never_costs_more_than_the_budget(self, budget: int, start: int) -> None:
        assert CHUNKS.cost(CHUNKS.affordable(budget, start), start) <= budget

    def test_a_tiny_budget_still_moves_on(self) -> None:
        assert ChunkBudget(alone=4, base=0, per_row=0).beside(3) == 4


class TestPrompts:
    def test_several_short_prompts_share_a_step(self) -> None:
        engine = Engine()
        sequences = [engine.add(20) for _ in range(5)]
        assert started(engine.step()) == [s.id for s in sequences]
        assert all(s.status is Status.DECODE for s in sequences)

    def test_what_a_half_done_prompt_cannot_use_of_the_budget_is_left(self) -> None:
        """Else one that is known but for its last token would take a run of its own for a scrap."""
        engine = Engine(max_rows=16)
        engine.remember(tuple(range(100)))
        engine.add(3, max_tokens=500)
        engine.step()
        long = engine.add(1950)
        while long.status is not Status.DECODE:
            engine.add((*range(100), 1000), max_tokens=1)
            plan = engine.step()
            assert len(plan.prefills) == 1 or plan.prefills[0].is_last

    def test_what_a_prompt_leaves_of_the_budget_goes_to_the_next(self) -> None:
        engine = Engine()
        engine.add(200)
        engine.add(200)
        assert chunk_sizes(engine.step()) == [200, 56]

    def test_a_scrap_of_budget_does_not_start_a_long_prompt(self) -> None:
        engine = Engine()
        engine.add(250)
        engine.add(200)
        assert chunk_sizes(engine.step()) == [250]

    def test_a_scrap_of_budget_is_enough_for_a_prompt_that_fits_into_it(self) -> None:
        engine = Engine()
        engine.add(250)
        engine.add(6)
        assert chunk_sizes(engine.step()) == [250, 6]

    def test_the_oldest_prompt_is_finished_first(self) -> None:
        engine = Engine()
        first, second = engine.add(400), engine.add(10)
        assert started(engine.step()) == [first.id]
        assert started(engine.step()) == [first.id, second.id]

    def test_a_row_is_ready_for_decoding_without_a_copy(self) -> None:
        engine = Engine()
        for _ in range(6):
            engine.add(100)
        for _ in range(8):
            assert engine.step().moves == ()
        assert [s.status for s in engine.slots.owners()] == [Status.DECODE] * 6


class TestPassing:
    """A prompt that takes many steps, and short ones behind it."""

    def long(self, engine: Engine) -> Sequence:
        """A long prompt that has begun, beside a stream."""
        engine.add(3, max_tokens=500)
        engine.step()
        long = engine.add(1900)
        engine.step()
        return long

    def test_a_short_prompt_passes_a_long_one(self) -> None:
        engine = Engine()
        long = self.long(engine)
        short = engine.add(20)
        engine.step()
        assert (short.status, long.status) == (Status.DECODE, Status.PREFILL)

    def test_one_that_takes_several_steps_gets_every_second_of_them(self) -> None:
        engine = Engine()
        long = self.long(engine)
        short = engine.add(200)
        steps = [started(engine.step())[0] for _ in range(7)]
        assert steps == [short.id, long.id] * 3 + [short.id]
        assert short.status is Status.DECODE

    def test_however_many_are_short_the_long_one_gets_every_second_step(self) -> None:
        engine = Engine(max_rows=16)
        long = self.long(engine)
        num_steps = 0
        while long.status is not Status.DECODE:
            before = long.num_computed
            engine.add(20, max_tokens=1)
            engine.add(50, max_tokens=1)
            for _ in range(2):
                engine.step()
            num_steps += 2
            assert long.num_computed > before
        alone = Engine(max_rows=16)
        other = self.long(alone)
        num_alone = 0
        while other.status is not Status.DECODE:
            alone.step()
            num_alone += 1
        assert num_steps <= 2 * num_alone + 2

    def test_what_is_no_shorter_waits_and_is_passed_too(self) -> None:
        engine = Engine()
        long = self.long(engine)
        other, short = engine.add(1200), engine.add(20)
        engine.step()
        assert (long.status, other.status, short.status) == (Status.PREFILL, Status.WAITING, Status.DECODE)

    def test_only_a_few_in_the_line_are_passed(self) -> None:
        engine = Engine()
        self.long(engine)
        others = [engine.add(1200, max_tokens=1) for _ in range(MOST_PASSED + 1)]
        short = engine.add(20)
        engine.step()
        assert short in engine.scheduler.first_in_line(9)
        engine.scheduler.abort(others[0].id)
        engine.step()
        engine.step()
        assert short.status is Status.DECODE

    def test_who_passes_takes_no_memory_that_those_before_it_will_need(self) -> None:
        engine = Engine(row_tokens=3 * 2048)
        self.long(engine)
        waiting = engine.add(1400, max_tokens=600)
        short = engine.add(20, max_tokens=20)
        for _ in range(3):
            engine.step()
        assert (waiting.status, short.status) == (Status.WAITING, Status.WAITING)

    def test_nobody_passes_what_is_done_in_this_step(self) -> None:
        engine = Engine()
        first, second = engine.add(400), engine.add(10)
        assert started(engine.step()) == [first.id]
        assert started(engine.step()) == [first.id, second.id]

    def test_what_the_long_one_is_about_to_compute_is_not_computed_twice(self) -> None:
        engine = Engine()
        engine.add(3, max_tokens=500)
        engine.step()
        text = tuple(range(1900))
        long = engine.add(text)
        engine.step()
        short = engine.add((*text[:300], 7))
        while short.status is Status.WAITING:
            engine.step()
        assert 300 - short.num_cached < MIN_GAIN
        assert long.status is Status.PREFILL

    def test_the_rows_change_and_the_stream_goes_on(self) -> None:
        engine = Engine()
        long = self.long(engine)
        short = engine.add(20)
        computed = engine.step().prefills[0].stop
        plan = engine.step()
        assert plan.moves == ((2, 1, computed, 64),)
        assert (short.row, long.row) == (1, 2)
        assert plan.decode is not None
        assert plan.decode.sequence_ids == (1, short.id)

    def test_a_long_one_that_leaves_lets_the_other_have_every_step(self) -> None:
        engine = Engine()
        long = self.long(engine)
        short = engine.add(400)
        engine.step()
        engine.scheduler.abort(long.id)
        assert started(engine.step()) == started(engine.step()) == [short.id]


class TestAdmission:
    def test_what_can_never_fit_is_refused_at_once_and_leaves_no_trace(self) -> None:
        engine = Engine(row_tokens=512)
        with pytest.raises(ContextLengthExceeded):
            engine.add(500, max_tokens=13)
        assert engine.scheduler.num_waiting == 0
        small = engine.add(10)
        assert started(engine.step()) == [small.id]

    def test_a_sequence_starts_only_when_its_worst_case_fits_beside_the_others(self) -> None:
        engine = Engine(row_tokens=512)
        engine.add(10, max_tokens=200)
        second = engine.add(10, max_tokens=246)
        third = engine.add(10, max_tokens=2)
        engine.step()
        assert second.status is Status.DECODE
        assert third.status is Status.WAITING

    def test_no_more_rows_run_than_allowed(self) -> None:
        engine = Engine(max_rows=3)
        for _ in range(5):
            engine.add(5)
        engine.step()
        assert (engine.scheduler.num_running, engine.scheduler.num_waiting) == (3, 2)

    def test_a_big_one_that_waits_is_not_overtaken(self) -> None:
        engine = Engine(row_tokens=1024)
        first = engine.add(10, max_tokens=20)
        big = engine.add(900, max_tokens=100)
        small = engine.add(10, max_tokens=20)
        engine.step()
        assert (big.status, small.status) == (Status.WAITING, Status.WAITING)
        engine.scheduler.abort(first.id)
        assert started(engine.step())[0] == big.id

    def test_whoever_leaves_lets_the_next_in_at_the_following_step(self) -> None:
        engine = Engine(max_rows=1)
        first = engine.add(5, max_tokens=2)
        second = engine.add(5)
        engine.step()
        engine.step()
        assert first.status is Status.FINISHED
        assert started(engine.step()) == [second.id]

    def test_buffers_follow_the_need_and_go_back_when_idle(self) -> None:
        engine = Engine()
        sequence = engine.add(300, max_tokens=100)
        assert engine.step().shape == KvShape(1, 384)
        engine.scheduler.abort(sequence.id)
        assert engine.step().shape == KvShape(1, 128)


class TestEnds:
    def test_the_last_allowed_token_ends_a_sequence_with_length(self) -> None:
        engine = Engine()
        engine.add(4, max_tokens=1)
        outcome = engine.commit(engine.scheduler.plan())
        assert outcome.ended == (Ended(1, Finished(FinishReason.LENGTH, 4, 0, 1)),)

    def test_an_end_id_ends_a_sequence_with_stop_and_is_delivered(self) -> None:
        engine = Engine()
        engine.add(4)
        outcome = engine.commit(engine.scheduler.plan(), {1: Sampled(SampledToken(END))})
        assert [advanced.token.token_id for advanced in outcome.advanced] == [END]
        assert outcome.ended == (Ended(1, Finished(FinishReason.STOP, 4, 0, 1)),)

    def test_a_grammar_that_is_complete_ends_a_sequence_with_stop(self) -> None:
        engine = Engine()
        engine.add(4)
        outcome = engine.commit(engine.scheduler.plan(), {1: Sampled(SampledToken(TOKEN), ends=True)})
        assert outcome.ended == (Ended(1, Finished(FinishReason.STOP, 4, 0, 1)),)

    def test_an_error_ends_its_sequence_alone(self) -> None:
        engine = Engine()
        first, second = engine.decoding(2)
        error = EngineFailed("no")
        outcome = engine.commit(engine.scheduler.plan(), {first.id: error})
        assert outcome.ended == (Ended(first.id, error),)
        assert [advanced.sequence_id for advanced in outcome.advanced] == [second.id]

    def test_the_hole_of_one_that_left_is_filled_by_the_last(self) -> None:
        engine = Engine()
        first, second, third = engine.decoding(3)
        engine.scheduler.abort(first.id)
        plan = engine.step()
        assert [(move.source, move.target) for move in plan.moves] == [(2, 0)]
        assert (third.row, second.row) == (0, 1)

    def test_a_prompt_under_way_closes_up_to_the_decoding_rows(self) -> None:
        engine = Engine()
        first, second = engine.decoding(2)
        long = engine.add(900)
        engine.step()
        engine.scheduler.abort(second.id)
        plan = engine.step()
        assert [(move.source, move.target, move.num_tokens) for move in plan.moves] == [(2, 1, 64)]
        assert (first.row, long.row) == (0, 1)

    @pytest.mark.parametrize("steps", [0, 1, 4])
    def test_an_abort_ends_a_sequence_wherever_it_stands(self, steps: int) -> None:
        engine = Engine()
        sequence = engine.add(600)
        for _ in range(steps):
            engine.step()
        ended = engine.scheduler.abort(sequence.id)
        assert ended == Ended(sequence.id, Finished(FinishReason.ABORTED, 600, 0, len(sequence.output_ids)))
        engine.step()
        assert (engine.slots.owners(), engine.scheduler.num_waiting) == ([], 0)

    def test_a_second_abort_finds_nobody(self) -> None:
        engine = Engine()
        sequence = engine.add(6)
        engine.scheduler.abort(sequence.id)
        assert engine.scheduler.abort(sequence.id) is None

    def test_when_the_rows_are_lost_those_who_wait_are_not(self) -> None:
        engine = Engine(max_rows=1)
        first, second = engine.add(6), engine.add(6)
        engine.step()
        error = EngineFailed("no")
        assert engine.scheduler.fail_running(error) == (Ended(first.id, error),)
        assert started(engine.step()) == [second.id]


class TestPrefixes:
    STEM = tuple(range(100))

    def test_a_prompt_starts_from_what_the_cache_knows(self) -> None:
        engine = Engine()
        engine.remember(self.STEM)
        sequence = engine.add((*self.STEM, 7, 8))
        (chunk,) = engine.step().prefills
        assert isinstance(chunk.source, PrefixMatch)
        assert (chunk.start, chunk.token_ids) == (100, (7, 8))
        assert sequence.num_cached == 100

    def test_the_last_token_of_a_prompt_is_always_computed(self) -> None:
        engine = Engine()
        engine.remember(self.STEM)
        engine.add(self.STEM)
        (chunk,) = engine.step().prefills
        assert (chunk.start, chunk.token_ids) == (99, (99,))

    def test_a_short_prefix_is_computed_again(self) -> None:
        engine = Engine()
        engine.remember(self.STEM[: MIN_PREFIX - 1])
        engine.add(self.STEM)
        (chunk,) = engine.step().prefills
        assert (chunk.start, chunk.source) == (0, None)

    def test_a_running_row_is_a_prefix_too(self) -> None:
        engine = Engine()
        engine.decoding(1)
        engine.add((*self.STEM, 1))
        for _ in range(3):
            engine.step()
        engine.add((*self.STEM, 2))
        (chunk,) = engine.step().prefills
        assert chunk.source == RowPrefix(row=1, num_tokens=100)

    def test_a_running_row_counts_with_what_it_generated(self) -> None:
        engine = Engine()
        engine.add(self.STEM)
        for _ in range(4):
            engine.step()
        engine.add((*self.STEM, TOKEN, TOKEN, 1))
        assert engine.step().prefills[0].source == RowPrefix(row=0, num_tokens=102)

    def test_what_decoding_computed_is_left_alone_where_that_is_asked_for(self) -> None:
        engine = Engine(match_outputs=False)
        sequence = engine.add(self.STEM)
        for _ in range(4):
            engine.step()
        engine.add((*self.STEM, TOKEN, TOKEN, 1))
        assert engine.step().prefills[0].source == RowPrefix(row=0, num_tokens=100)
        assert engine.scheduler.storable(sequence) == self.STEM

    def test_the_longer_of_cache_and_rows_wins(self) -> None:
        engine = Engine()
        engine.remember((*self.STEM, 1, 2))
        engine.add(self.STEM)
        engine.step()
        engine.add((*self.STEM, 1, 2, 3))
        (chunk,) = engine.step().prefills
        assert isinstance(chunk.source, PrefixMatch)
        assert chunk.start == 102

    def test_a_prompt_waits_for_one_that_is_computing_its_prefix(self) -> None:
        engine = Engine()
        first, second, third = (engine.add((*self.STEM, number)) for number in range(3))
        assert started(engine.step()) == [first.id]
        plan = engine.step()
        assert started(plan) == [second.id, third.id]
        assert [chunk.source for chunk in plan.prefills] == [RowPrefix(0, 100)] * 2

    def test_a_prompt_does_not_wait_for_a_prefix_that_saves_little(self) -> None:
        engine = Engine()
        first, second = (engine.add((*self.STEM[:20], number)) for number in range(2))
        assert started(engine.step()) == [first.id, second.id]

    def test_whoever_waited_for_a_prompt_that_was_aborted_computes_it_itself(self) -> None:
        engine = Engine()
        first, second = (engine.add((*range(400), number)) for number in range(2))
        assert started(engine.step()) == [first.id]
        engine.scheduler.abort(first.id)
        (chunk,) = engine.step().prefills
        assert (chunk.sequence_id, chunk.start) == (second.id, 0)

    def test_whoever_waited_for_a_prompt_that_failed_computes_it_itself(self) -> None:
        engine = Engine()
        first, second = (engine.add((*self.STEM, number)) for number in range(2))
        engine.step({first.id: EngineFailed("no")})
        assert first.status is Status.FINISHED
        (chunk,) = engine.step().prefills
        assert (chunk.sequence_id, chunk.start, chunk.source) == (second.id, 0, None)

    def test_what_a_failed_sequence_left_is_not_stored(self) -> None:
        engine = Engine()
        (sequence,) = engine.decoding(1)
        engine.commit(engine.scheduler.plan(), {sequence.id: EngineFailed("no")})
        assert engine.scheduler.storable(sequence) == ()

    def test_a_runner_that_cannot_copy_computes_everything(self) -> None:
        engine = Engine(can_copy=False)
        first, second = (engine.add((*self.STEM, number)) for number in range(2))
        plan = engine.step()
        assert started(plan) == [first.id, second.id]
        assert [chunk.source for chunk in plan.prefills] == [None, None]


class TestInvariants:
    def test_three_prompts_half_done_are_named(self) -> None:
        engine = Engine()
        for sequence in engine.decoding(3):
            sequence.status = Status.PREFILL
        assert engine.scheduler.invariants() == ["more than two prompts are half done"]

    def test_a_running_sequence_without_a_row_is_named(self) -> None:
        engine = Engine()
        (sequence,) = engine.decoding(1)
        engine.scheduler.release(sequence)
        assert engine.scheduler.invariants() == [f"sequence {sequence.id} runs without a row"]

    def test_promises_beyond_the_budget_are_named(self) -> None:
        engine = Engine(row_tokens=256)
        (sequence,) = engine.decoding(1)
        sequence.params = SamplingParams(max_tokens=1000)
        assert engine.scheduler.invariants() == ["running sequences may need more than the budget"]

    def test_a_line_that_lost_somebody_is_named(self) -> None:
        engine = Engine()
        engine.add(5).status = Status.DECODE
        engine.add(5)
        found = engine.scheduler.invariants()
        assert "the line of waiting sequences is out of order" in found
