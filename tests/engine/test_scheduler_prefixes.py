"""The scheduler's specification: what is known of a prompt already."""

from support.scheduling import TOKEN, Engine, started

from obeaver.engine.decoding.plan import RowPrefix
from obeaver.engine.decoding.prefix_cache import PrefixMatch
from obeaver.engine.decoding.scheduler import MIN_PREFIX
from obeaver.engine.decoding.sequence import Status
from obeaver.errors import EngineFailed


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
