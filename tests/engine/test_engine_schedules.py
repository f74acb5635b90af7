"""Hundreds of random schedules: joins, leaves, aborts, failures, evictions, growth. After every step every invariant
holds; at the end every sequence gave what it gives alone."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support import engine_driver
from support.fake_runner import BYTES_PER_TOKEN, FakeRunner

from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.sequence import Finished
from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS
from obeaver.errors import EngineFailed

STEMS = [tuple((stem * 5 + place * place) % 31 for place in range(160)) for stem in range(3)]


class Schedules(RuleBasedStateMachine):
    """What clients, the machine and time do to an engine."""

    @initialize(
        row_tokens=st.sampled_from([384, 1024, 4096]),
        prefix_tokens=st.sampled_from([0, 90, 700]),
        max_rows=st.integers(1, 6),
        chunks=st.builds(
            ChunkBudget, st.integers(1, 64), st.integers(0, 30), st.integers(0, 8), st.sampled_from([20, 100, 1024])
        ),
        can_copy_kv=st.booleans(),
        decodes_as_prefill=st.booleans(),
        decodes_ahead=st.booleans(),
        num_parts=st.sampled_from([1, 2]),
        lookahead=st.sampled_from([0, 2, 7]),
        disk_blocks=st.sampled_from([0, 0, 3, 50]),
    )
    def build(
        self,
        row_tokens: int,
        prefix_tokens: int,
        max_rows: int,
        chunks: ChunkBudget,
        can_copy_kv: bool,
        decodes_as_prefill: bool,
        decodes_ahead: bool,
        num_parts: int,
        lookahead: int,
        disk_blocks: int,
    ) -> None:
        self.failing: set[str] = set()
        self.paused: set[int] = set()
        self.num_failures = 0
        self.budget_bytes = (row_tokens + prefix_tokens) * BYTES_PER_TOKEN
        self.folder = TemporaryDirectory()
        disk_bytes = disk_blocks * (BLOCK_TOKENS * BYTES_PER_TOKEN + 100) if can_copy_kv else 0

        def start() -> engine_driver.EngineDriver:
            return engine_driver.EngineDriver(
                FakeRunner(
                    context_length=500,
                    max_rows=max_rows,
                    can_copy_kv=can_copy_kv,
                    decodes_as_prefill=decodes_as_prefill,
                    decodes_ahead=decodes_ahead or decodes_as_prefill,
                    num_parts=num_parts,
                    fails=self.fails,
                ),
                engine_driver.settings(
                    row_tokens, prefix_tokens, max_rows=max_rows, chunks=chunks, lookahead=lookahead
                ),
                engine_driver.disk_of(Path(self.folder.name), disk_bytes) if disk_bytes else None,
            )

        self.start = start
        self.driver = start()

    def fails(self, method: str) -> bool:
        if method not in self.failing:
            return False
        self.failing.remove(method)
        self.num_failures += 1
        return True

    @rule(
        stem=st.sampled_from(STEMS),
        shared=st.integers(0, 160),
        own=st.lists(st.integers(0, 31), min_size=1, max_size=40),
        max_tokens=st.integers(1, 60),
        seed=st.integers(0, 9),
        temperature=st.sampled_from([0.0, 1.0]),
        stop=st.frozensets(st.integers(0, 31), max_size=2),
        words=st.sampled_from([(), (3,), (4, 9)]),
    )
    def join(
        self,
        stem: tuple[int, ...],
        shared: int,
        own: list[int],
        max_tokens: int,
        seed: int,
        temperature: float,
        stop: frozenset[int],
        words: tuple[int, ...],
    ) -> None:
        prompt = (*stem[:shared], *own)
        # Who has few words to say repeats himself, so that guesses at what comes next are often right.
        bias = dict.fromkeys(words, 50.0)
        self.driver.add(prompt, max_tokens, seed, temperature=temperature, stop_token_ids=stop, logit_bias=bias)

    @rule(first=st.integers(0, 9), length=st.integers(150, 350), max_tokens=st.integers(1, 60))
    def join_with_much_to_compute(self, first: int, length: int, max_tokens: int) -> None:
        self.driver.add([(first + place * place) % 29 for place in range(length)], max_tokens, temperature=0)

    @precondition(lambda self: self.driver.sequences)
    @rule(data=st.data(), own=st.lists(st.integers(0, 31), min_size=1, max_size=9), max_tokens=st.integers(1, 60))
    def take_another_turn(self, data: st.DataObject, own: list[int], max_tokens: int) -> None:
        before = data.draw(st.sampled_from(sorted(self.driver.sequences)))
        history = (*self.driver.sequences[before].prompt_ids, *self.driver.outputs[before])
        self.driver.add((*history, *own), max_tokens, temperature=0)

    @rule(times=st.integers(1, 12))
    def step(self, times: int) -> None:
        for _ in range(times):
            if self.driver.core.has_work:
                self.driver.step()
            assert self.driver.core.stats().kv_used_bytes <= max(self.budget_bytes, 128 * BYTES_PER_TOKEN)

    @precondition(lambda self: self.driver.sequences)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.driver.core.abort(data.draw(st.sampled_from(sorted(self.driver.sequences))))

    @precondition(lambda self: self.driver.sequences)
    @rule(data=st.data())
    def stop_reading(self, data: st.DataObject) -> None:
        sequence_id = data.draw(st.sampled_from(sorted(self.driver.sequences)))
        self.paused.add(sequence_id)
        self.driver.core.pause(sequence_id)

    @precondition(lambda self: self.paused)
    @rule(data=st.data())
    def read_on(self, data: st.DataObject) -> None:
        sequence_id = data.draw(st.sampled_from(sorted(self.paused)))
        self.paused.remove(sequence_id)
        self.driver.core.resume(sequence_id)

    @rule(method=st.sampled_from(["decode", "prefill", "move_row", "swap_rows", "read_kv", "write_kv"]))
    def break_down(self, method: str) -> None:
        self.failing.add(method)

    @rule()
    def restart(self) -> None:
        self.come_to_an_end()
        self.driver = self.start()
        self.paused.clear()
        self.num_failures = 0

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.come_to_an_end()
            self.folder.cleanup()

    def come_to_an_end(self) -> None:
        self.failing.clear()
        for sequence_id in self.paused:
            self.driver.core.resume(sequence_id)
        self.driver.run()
        assert self.driver.results.keys() == self.driver.sequences.keys()
        self.driver.check_outputs()
        failed = [result for result in self.driver.results.values() if isinstance(result, EngineFailed)]
        assert self.num_failures > 0 or not failed
        ends = [result for result in self.driver.results.values() if isinstance(result, Finished)]
        assert all(0 <= end.num_cached_tokens < end.num_prompt_tokens for end in ends)
        self.driver.core.settle()
        self.driver.core.close()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
