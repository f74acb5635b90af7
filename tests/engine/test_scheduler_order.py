"""The scheduler's specification: who starts, and when."""

import dataclasses
import itertools
import random
import statistics

import pytest
from support.scheduling import CHUNKS, Engine, started

from obeaver.engine.decoding.scheduler import MIN_GAIN, MOST_PASSED
from obeaver.engine.decoding.sequence import Sequence, SequenceId, Status
from obeaver.engine.runners.runner import KvShape
from obeaver.errors import ContextLengthExceeded


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

    def test_what_changing_rows_takes_no_prompt_has(self) -> None:
        engine = Engine(chunks=dataclasses.replace(CHUNKS, moving=1))
        long = self.long(engine)
        engine.add(20)
        engine.step()
        plan = engine.step()
        assert (len(plan.moves), plan.prefills) == (1, ())
        while not (plan := engine.step()).prefills:
            pass
        assert started(plan) == [long.id]

    def test_a_long_one_that_leaves_lets_the_other_have_every_step(self) -> None:
        engine = Engine()
        long = self.long(engine)
        short = engine.add(400)
        engine.step()
        engine.scheduler.abort(long.id)
        assert started(engine.step()) == started(engine.step()) == [short.id]


LENGTHS = (10, 40, 150, 400, 1200, 1900)


def slowdowns(seed: int) -> list[float]:
    """How long each of 16 clients waits for its first token, by what all before it take, itself, and one step.

    They come one after the other with prompts of mixed lengths. The clock counts what prompt tokens cost, and what a
    decode run does in the same unit.
    """
    mix = random.Random(seed)  # no secret
    engine, clock = Engine(max_rows=16), 0.0
    came: dict[SequenceId, tuple[float, int]] = {}
    found: list[float] = []
    running: list[Sequence] = []
    arrivals = list(itertools.accumulate(mix.randint(0, 8) for _ in range(16)))
    for step in itertools.count():
        while arrivals and arrivals[0] <= step:
            del arrivals[0]
            running.append(engine.add(mix.choice(LENGTHS), max_tokens=100))
            came[running[-1].id] = clock, sum(map(cost_of_rest, running)) + CHUNKS.beside(16)
        plan = engine.step()
        clock += sum(CHUNKS.cost(len(chunk.token_ids), chunk.start) for chunk in plan.prefills)
        clock += 6 + 1.3 * len(plan.decode.sequence_ids) if plan.decode else 0
        for sequence in [sequence for sequence in running if sequence.output_ids]:
            running.remove(sequence)
            begun, work = came[sequence.id]
            found.append((clock - begun) / work)
        if not arrivals and not running:
            return found
    raise AssertionError


def cost_of_rest(sequence: Sequence) -> int:
    return CHUNKS.cost(sequence.num_prompt - sequence.num_computed, (sequence.num_computed + sequence.num_prompt) // 2)


def test_nobody_waits_twice_as_long_as_in_a_plain_line_and_most_wait_less() -> None:
    found = [each for seed in range(40) for each in slowdowns(seed)]
    assert len(found) == 40 * 16
    assert max(found) <= 2
    assert statistics.median(found) < 1
