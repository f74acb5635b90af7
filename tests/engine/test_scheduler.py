"""The scheduler's specification: steps, streams, ends."""

import dataclasses
import itertools

import pytest
from support.scheduling import CHUNKS, END, TOKEN, Engine, chunk_sizes, started

from obeaver.engine.decoding.chunk_budget import LEAST_CHUNK, ChunkBudget
from obeaver.engine.decoding.plan import Ended, Sampled, StepPlan
from obeaver.engine.decoding.prompt_draft import MIN_START
from obeaver.engine.decoding.sequence import Finished, FinishReason, Status
from obeaver.engine.runners.runner import WHOLE, Part
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import EngineFailed


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

    def test_a_chunk_that_costs_more_than_a_step_may_spend_is_made_up_for_by_steps_without(self) -> None:
        chunks = ChunkBudget(alone=256, base=16, per_row=0, doubling=400)
        engine = Engine(chunks=chunks)
        engine.add(3, max_tokens=500)
        engine.step()
        long = engine.add(1200)
        spent, sizes = 0, []
        for num_steps in itertools.count(1):
            plan = engine.step()
            assert plan.decode is not None
            spent += sum(chunks.cost(len(chunk.token_ids), chunk.start) for chunk in plan.prefills)
            sizes.append(sum(chunk_sizes(plan)))
            assert spent <= num_steps * chunks.beside(1) + chunks.cost(LEAST_CHUNK, 1200)
            if long.status is Status.DECODE:
                break
        assert set(sizes[:-1]) <= {0, *range(LEAST_CHUNK, chunks.beside(1) + 1)}
        assert sizes[-4:-1].count(0) == 2

    def test_what_was_overspent_is_forgotten_when_nobody_waits_for_it(self) -> None:
        engine = Engine(chunks=ChunkBudget(alone=256, base=16, per_row=0, doubling=400))
        stream = engine.add(3, max_tokens=500)
        engine.step()
        engine.add(1200)
        while engine.step().prefills:
            pass
        engine.scheduler.abort(stream.id)
        engine.step()
        assert sum(chunk_sizes(engine.step())) > LEAST_CHUNK

    def test_what_a_prefix_hit_leaves_to_compute_is_priced_by_its_place(self) -> None:
        chunks = dataclasses.replace(CHUNKS, doubling_alone=512)
        engine = Engine(chunks=chunks)
        engine.remember(tuple(range(512)))
        engine.add(tuple(range(512 + 400)))
        assert chunk_sizes(engine.step()) == [chunks.alone // 2]

    def test_after_the_last_stream_a_long_prompt_takes_all_only_by_and_by(self) -> None:
        engine = Engine(chunks=dataclasses.replace(CHUNKS, doubling=1 << 20, doubling_alone=1 << 20))
        stream = engine.add(3, max_tokens=500)
        engine.step()
        engine.add(1500)
        engine.step()
        engine.scheduler.abort(stream.id)
        engine.scheduler.release(stream)
        assert [sum(chunk_sizes(engine.step())) for _ in range(4)] == [63, 127, 255, 255]

    def test_a_prompt_that_comes_after_the_last_stream_takes_all_at_once(self) -> None:
        engine = Engine()
        stream = engine.add(3, max_tokens=500)
        engine.step()
        engine.step()
        engine.scheduler.abort(stream.id)
        engine.scheduler.release(stream)
        engine.add(1500)
        assert chunk_sizes(engine.step()) == [CHUNKS.alone]

    def test_alone_chunks_become_shorter_more_slowly(self) -> None:
        alone, beside = CHUNKS.prices(0), CHUNKS.prices(1)
        assert alone.affordable(256, 1900) == 256 * CHUNKS.doubling_alone // (CHUNKS.doubling_alone + 1900)
        assert beside.affordable(256, 1900) == 256 * CHUNKS.doubling // (CHUNKS.doubling + 1900)

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

    def test_whose_prompt_is_done_waits_for_no_long_piece_of_another(self) -> None:
        engine = Engine()
        engine.add(20)
        engine.add(1500)
        assert chunk_sizes(engine.step()) == [20, CHUNKS.beside(1)]

    def test_prompts_that_are_all_done_share_the_whole_budget(self) -> None:
        engine = Engine()
        for _ in range(3):
            engine.add(80)
        assert chunk_sizes(engine.step()) == [80, 80, 80]

    def test_a_long_prompt_comes_in_chunks_of_several_steps_each_of_which_computes_some_layers(self) -> None:
        engine = Engine(most_parts=4)
        engine.decoding(1)
        long = engine.add(1500)
        plans = [engine.step() for _ in range(5)]
        sizes = [4 * CHUNKS.beside(1)] * 4 + [4 * CHUNKS.beside(1) * CHUNKS.doubling // (CHUNKS.doubling + 256)]
        assert [chunk_sizes(plan) for plan in plans] == [[size] for size in sizes]
        assert [plan.prefills[0].part for plan in plans] == [Part(number, 4) for number in (0, 1, 2, 3, 0)]
        assert all(plan.decode is not None for plan in plans)
        assert (long.num_computed, long.num_held) == (256, 256 + sizes[-1])

    def test_it_takes_as_many_steps_as_it_needs(self) -> None:
        engine = Engine(most_parts=4)
        engine.decoding(1)
        engine.add(CHUNKS.beside(1) + 20, max_tokens=1)
        assert [engine.step().prefills[0].part for _ in range(2)] == [Part(0, 2), Part(1, 2)]
        engine.add(CHUNKS.beside(1))
        assert engine.step().prefills[0].part == WHOLE

    def test_where_nobody_decodes_a_chunk_is_computed_at_once(self) -> None:
        engine = Engine(most_parts=4)
        engine.add(1500)
        assert engine.step().prefills[0].part == WHOLE

    def test_nobody_begins_between_the_parts_of_a_chunk_and_somebody_does_behind_them(self) -> None:
        engine = Engine(most_parts=4)
        engine.decoding(1)
        long = engine.add(1500)
        engine.step()
        short = engine.add(20)
        assert [started(engine.step()) for _ in range(4)] == [[long.id]] * 3 + [[short.id]]

    def test_one_that_leaves_between_two_parts_leaves_the_next_step_to_others(self) -> None:
        engine = Engine(most_parts=4)
        engine.decoding(1)
        long, other = engine.add(1500), engine.add(20)
        engine.step()
        engine.scheduler.abort(long.id)
        assert started(engine.step()) == [other.id]

    def test_what_its_row_has_of_an_unfinished_chunk_moves_with_it(self) -> None:
        engine = Engine(most_parts=4)
        first, *_ = engine.decoding(2)
        engine.add(1500)
        size = chunk_sizes(engine.step())[0]
        engine.scheduler.abort(first.id)
        plan = engine.step()
        assert (plan.moves[-1].num_tokens, plan.held[-1]) == (size, size)
        assert plan.prefills[0].row == 1

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

    def test_the_oldest_prompt_is_finished_first_where_the_step_is_enough_for_its_rest(self) -> None:
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
