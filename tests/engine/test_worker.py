"""The worker over the fake runner, on a real event loop and with a real thread."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from support.engine_driver import outputs_alone, settings
from support.fake_runner import BYTES_PER_TOKEN, FakeRunner

from obeaver.engine.decoding.core import EngineCore, EngineSettings
from obeaver.engine.decoding.sequence import Finished, FinishReason
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ApiError, BadRequest, ContextLengthExceeded, EngineFailed, QueueFull, Unavailable

PROMPT = (3, 1, 4, 1, 5, 9, 2, 6)


def greedy(max_tokens: int = 8) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0)


class Reader:
    """A sink that keeps what it is told; `ended` wakes whoever waits for the end."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.ends: list[Finished | ApiError] = []
        self.threads: set[threading.Thread] = set()
        self.ended = asyncio.Event()
        self.first = asyncio.Event()

    def on_tokens(self, tokens: Sequence[SampledToken]) -> None:
        assert not self.ends
        self.token_ids += [token.token_id for token in tokens]
        self.threads.add(threading.current_thread())
        self.first.set()

    def on_finish(self, result: Finished) -> None:
        self.ends.append(result)
        self.ended.set()

    def on_error(self, error: ApiError) -> None:
        self.ends.append(error)
        self.ended.set()

    async def end(self) -> Finished | ApiError:
        await self.ended.wait()
        (end,) = self.ends
        return end


class Gate:
    """Answers for the fake runner's `fails`: holds the engine thread at some methods, breaks others."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self._held: set[str] = set()
        self._waits_at: str | None = None
        self._changed = threading.Condition()

    def hold(self, *methods: str) -> None:
        """Let the thread pass everywhere but here."""
        with self._changed:
            self._held = set(methods)
            self._changed.notify_all()

    def open(self) -> None:
        self.hold()

    async def reached(self, method: str) -> None:
        """Wait until the thread is held at this method."""
        await asyncio.to_thread(self._wait_until_reached, method)

    def _wait_until_reached(self, method: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._waits_at == method, timeout=60)

    def __call__(self, method: str) -> bool:
        with self._changed:
            self._waits_at = method
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: method not in self._held, timeout=60)
            self._waits_at = None
        return method in self.broken


class Rig:
    """A worker, the runner below it, and the gate that holds its thread."""

    def __init__(self, engine_settings: EngineSettings, max_queue: int, max_queue_tokens: int = 0) -> None:
        self.gate = Gate()
        self.runner = FakeRunner(fails=self.gate)
        self.worker = EngineWorker(
            self.build, max_queue=max_queue, max_queue_tokens=max_queue_tokens, name="engine-under-test"
        )
        self._settings = engine_settings

    def build(self) -> EngineCore:
        return EngineCore(self.runner, self._settings, make_sampler=Sampler)

    def submit(self, prompt_ids: Sequence[int] = PROMPT, max_tokens: int = 8) -> tuple[int, Reader]:
        reader = Reader()
        return self.worker.submit(prompt_ids, greedy(max_tokens), reader), reader


MakeRig = Callable[..., Rig]


@pytest.fixture
async def make_rig() -> AsyncIterator[MakeRig]:
    rigs: list[Rig] = []

    def make(
        *,
        row_tokens: int = 4096,
        prefix_tokens: int = 0,
        max_rows: int = 4,
        max_queue: int = 8,
        max_queue_tokens: int = 0,
    ) -> Rig:
        rigs.append(Rig(settings(row_tokens, prefix_tokens, max_rows=max_rows), max_queue, max_queue_tokens))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.gate.open()
        await rig.worker.close()


@pytest.fixture
async def rig(make_rig: MakeRig) -> Rig:
    made = make_rig()
    await made.worker.start()
    return made


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "engine-under-test"]


class TestStreams:
    async def test_tokens_arrive_in_order_and_on_the_loops_thread(self, rig: Rig) -> None:
        _, reader = rig.submit()
        assert await reader.end() == Finished(FinishReason.LENGTH, len(PROMPT), 0, 8)
        assert reader.token_ids == outputs_alone(PROMPT, greedy())
        assert reader.threads == {threading.current_thread()}

    async def test_many_streams_advance_together_and_each_gets_its_own(self, rig: Rig) -> None:
        prompts = [(number, *PROMPT) for number in range(10)]
        readers = [rig.submit(prompt, 12)[1] for prompt in prompts]
        for prompt, reader in zip(prompts, readers, strict=True):
            await reader.end()
            assert reader.token_ids == outputs_alone(prompt, greedy(12))
        assert max(rig.runner.decode_runs) == 4

    async def test_all_rows_of_a_step_cross_in_one_call(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        calls: list[object] = []
        original = loop.call_soon_threadsafe

        def counted(callback: Callable[..., object], *args: object, **options: object) -> asyncio.Handle:
            calls.append(callback)
            return original(callback, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        readers = [rig.submit((number, *PROMPT), 20)[1] for number in range(4)]
        for reader in readers:
            await reader.end()
        assert len(calls) <= rig.worker.snapshot().totals.steps + 1

    async def test_a_second_request_is_served_after_the_engine_was_idle(self, rig: Rig) -> None:
        for _ in range(2):
            _, reader = rig.submit()
            await reader.end()
            assert reader.token_ids == outputs_alone(PROMPT, greedy())

    async def test_a_reader_that_raises_harms_nobody_else(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Reader):
            def on_tokens(self, tokens: Sequence[SampledToken]) -> None:
                super().on_tokens(tokens)
                raise ValueError("full")

        broken = Broken()
        rig.gate.hold("decode")
        rig.worker.submit(PROMPT, greedy(400), broken)
        _, reader = rig.submit((7, *PROMPT), 30)
        await broken.first.wait()
        rig.gate.open()
        await reader.end()
        assert reader.token_ids == outputs_alone((7, *PROMPT), greedy(30))
        assert (len(broken.token_ids), broken.ends) == (1, [])
        assert rig.worker.snapshot().totals.finished[FinishReason.ABORTED] == 1
        assert "it gets nothing more" in caplog.text

    async def test_a_reader_that_raises_at_the_end_is_logged(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Reader):
            def on_finish(self, result: Finished) -> None:
                super().on_finish(result)
                raise ValueError("late")

        broken = Broken()
        rig.worker.submit(PROMPT, greedy(), broken)
        await broken.end()
        assert rig.worker.snapshot().healthy
        assert "it gets nothing more" in caplog.text


class TestAborts:
    async def test_an_aborted_stream_hears_that_it_ended_and_leaves_within_a_step(self, rig: Rig) -> None:
        rig.gate.hold("decode")
        sequence_id, reader = rig.submit(max_tokens=400)
        await rig.gate.reached("decode")
        rig.worker.abort(sequence_id)
        rig.gate.open()
        assert await reader.end() == Finished(FinishReason.ABORTED, len(PROMPT), 0, 2)
        assert len(reader.token_ids) == 2
        after = rig.worker.snapshot()
        assert (after.num_running, after.num_waiting) == (0, 0)
        assert after.totals.finished[FinishReason.ABORTED] == 1

    async def test_a_stream_that_waits_can_be_aborted(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_rows=1)
        await rig.worker.start()
        rig.gate.hold("prefill")
        _, running = rig.submit(max_tokens=30)
        waiting_id, waiting = rig.submit()
        rig.worker.abort(waiting_id)
        rig.gate.open()
        assert await waiting.end() == Finished(FinishReason.ABORTED, len(PROMPT), 0, 0)
        await running.end()
        assert running.token_ids == outputs_alone(PROMPT, greedy(30))

    async def test_aborting_what_is_gone_does_nothing(self, rig: Rig) -> None:
        sequence_id, reader = rig.submit()
        await reader.end()
        rig.worker.abort(sequence_id)
        rig.worker.abort(12345)
        _, second = rig.submit()
        await second.end()
        assert rig.worker.snapshot().totals.finished[FinishReason.ABORTED] == 0


class TestPauses:
    async def test_a_paused_stream_gives_its_row_up_and_goes_on_with_the_same_tokens(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_rows=1)
        await rig.worker.start()
        rig.gate.hold("decode")
        sequence_id, paused = rig.submit(max_tokens=200)
        await rig.gate.reached("decode")
        assert rig.worker.pause(sequence_id)
        _, other = rig.submit(max_tokens=30)
        rig.gate.open()
        await other.end()
        assert len(paused.token_ids) < 200
        snapshot = rig.worker.snapshot()
        assert (snapshot.num_running, snapshot.num_waiting, snapshot.num_paused) == (0, 0, 1)
        rig.worker.resume(sequence_id)
        await paused.end()
        assert paused.token_ids == outputs_alone(PROMPT, greedy(200))
        assert rig.worker.snapshot().totals.prompt_tokens == 2 * len(PROMPT)

    async def test_a_paused_stream_can_be_aborted(self, rig: Rig) -> None:
        rig.gate.hold("decode")
        sequence_id, reader = rig.submit(max_tokens=200)
        await rig.gate.reached("decode")
        rig.worker.pause(sequence_id)
        rig.worker.abort(sequence_id)
        rig.gate.open()
        end = await reader.end()
        assert isinstance(end, Finished)
        assert end.reason is FinishReason.ABORTED

    async def test_what_is_gone_is_neither_paused_nor_resumed(self, rig: Rig) -> None:
        rig.worker.pause(12345)
        rig.worker.resume(12345)
        _, reader = rig.submit()
        await reader.end()
        assert rig.worker.snapshot().num_paused == 0


class TestRefusals:
    async def test_a_prompt_that_can_never_fit_is_refused_with_both_numbers(self, rig: Rig) -> None:
        with pytest.raises(ContextLengthExceeded, match=r"length is 512 tokens.*has 600"):
            rig.submit([1] * 600)

    async def test_room_is_what_the_context_leaves(self, rig: Rig) -> None:
        assert rig.worker.room_for(500) == 12
        _, reader = rig.submit([1] * 500, 12)
        assert isinstance(await reader.end(), Finished)
        with pytest.raises(ContextLengthExceeded):
            rig.submit([1] * 500, 13)

    async def test_an_empty_prompt_is_refused(self, rig: Rig) -> None:
        with pytest.raises(BadRequest, match="no tokens"):
            rig.submit([])

    async def test_the_queue_is_bounded_and_says_when_to_come_again(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_rows=2, max_queue=3)
        await rig.worker.start()
        rig.gate.hold("prefill", "decode")
        readers = [rig.submit()[1] for _ in range(5)]
        with pytest.raises(QueueFull) as caught:
            rig.submit()
        assert caught.value.headers == {"Retry-After": "1"}
        rig.gate.open()
        for reader in readers:
            await reader.end()
        _, reader = rig.submit()
        await reader.end()

    async def test_the_queue_is_bounded_in_tokens_too_and_one_prompt_may_always_wait(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_rows=1, max_queue_tokens=len(PROMPT) + 4)
        await rig.worker.start()
        rig.gate.hold("decode")
        _, first = rig.submit()
        await first.first.wait()
        _, long = rig.submit(PROMPT * 4)
        with pytest.raises(QueueFull, match="too many tokens"):
            rig.submit((1, 2))
        rig.gate.open()
        await first.end()
        await long.end()
        _, last = rig.submit((1, 2))
        await last.end()

    async def test_before_the_start_nothing_is_taken(self, make_rig: MakeRig) -> None:
        rig = make_rig()
        with pytest.raises(Unavailable, match="has not started"):
            rig.submit()
        with pytest.raises(Unavailable, match="has not started"):
            rig.worker.room_for(1)
        snapshot = rig.worker.snapshot()
        assert (snapshot.healthy, snapshot.label) == (False, "")


class TestSnapshots:
    async def test_a_snapshot_says_what_the_engine_is(self, make_rig: MakeRig) -> None:
        rig = make_rig(prefix_tokens=100)
        await rig.worker.start()
        snapshot = rig.worker.snapshot()
        assert snapshot.healthy
        assert (snapshot.label, snapshot.max_rows) == ("fake", 4)
        assert snapshot.kv_budget_bytes == 4196 * BYTES_PER_TOKEN
        assert snapshot.kv_used_bytes == 128 * BYTES_PER_TOKEN

    async def test_a_snapshot_counts_tokens_and_ends(self, make_rig: MakeRig) -> None:
        rig = make_rig(prefix_tokens=100)
        await rig.worker.start()
        for _ in range(2):
            _, reader = rig.submit([*PROMPT * 4], 5)
            await reader.end()
        totals = rig.worker.snapshot().totals
        assert (totals.prompt_tokens, totals.cached_tokens, totals.generated_tokens) == (64, 31, 10)
        assert totals.finished[FinishReason.LENGTH] == 2
        assert rig.worker.snapshot().prefix_cache_bytes > 0

    async def test_what_was_submitted_waits_until_a_step_took_it(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_rows=1)
        await rig.worker.start()
        rig.gate.hold("prefill")
        readers = [rig.submit()[1] for _ in range(3)]
        assert rig.worker.snapshot().num_waiting == 3
        rig.gate.hold("decode")
        await readers[0].first.wait()
        assert (rig.worker.snapshot().num_running, rig.worker.snapshot().num_waiting) == (1, 2)


class TestFailures:
    async def test_a_failed_run_ends_its_streams_and_the_engine_serves_on(self, rig: Rig) -> None:
        rig.gate.broken = {"prefill"}
        _, unlucky = rig.submit()
        assert isinstance(await unlucky.end(), EngineFailed)
        rig.gate.broken = set()
        _, reader = rig.submit()
        await reader.end()
        assert reader.token_ids == outputs_alone(PROMPT, greedy())
        assert rig.worker.snapshot().healthy

    async def test_when_the_engine_dies_every_stream_gets_an_error_and_it_says_so(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig.gate.hold("prefill", "decode")
        readers = [rig.submit([1] * 300)[1] for _ in range(6)]
        rig.gate.broken = {"resize"}
        rig.gate.open()
        for reader in readers:
            assert isinstance(await reader.end(), EngineFailed)
        snapshot = rig.worker.snapshot()
        assert (snapshot.healthy, snapshot.num_running, snapshot.num_waiting) == (False, 0, 0)
        with pytest.raises(Unavailable, match="has failed"):
            rig.submit()
        await rig.worker.close()
        assert rig.runner.is_closed
        assert not rig.worker.snapshot().healthy
        assert "the engine failed" in caplog.text

    async def test_a_core_that_cannot_be_closed_is_logged(
        self, make_rig: MakeRig, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Stubborn(FakeRunner):
            def close(self) -> None:
                raise OSError("busy")

        rig = make_rig()
        rig.runner = Stubborn()
        await rig.worker.start()
        await rig.worker.close()
        assert "could not be closed" in caplog.text


class TestLife:
    async def test_the_loop_runs_on_while_the_model_loads(self) -> None:
        loads, goes_on = threading.Event(), threading.Event()

        def build() -> EngineCore:
            loads.set()
            assert goes_on.wait(timeout=30)
            return EngineCore(FakeRunner(), settings(), make_sampler=Sampler)

        worker = EngineWorker(build, max_queue=1, name="engine-under-test")
        starting = asyncio.create_task(worker.start())
        await asyncio.to_thread(loads.wait, 30)
        with pytest.raises(Unavailable):
            worker.room_for(1)
        goes_on.set()
        await starting
        assert worker.room_for(1) == 511
        await worker.close()

    async def test_a_model_that_cannot_be_loaded_raises_from_start(self) -> None:
        def build() -> EngineCore:
            raise OSError("no such file")

        worker = EngineWorker(build, max_queue=1, name="engine-under-test")
        with pytest.raises(OSError, match="no such file"):
            await worker.start()
        assert not worker.snapshot().healthy
        await worker.close()
        assert engine_threads() == []

    async def test_a_start_that_is_cancelled_gives_the_model_back(self) -> None:
        loads, goes_on, runner = threading.Event(), threading.Event(), FakeRunner()

        def build() -> EngineCore:
            loads.set()
            assert goes_on.wait(timeout=30)
            return EngineCore(runner, settings(), make_sampler=Sampler)

        worker = EngineWorker(build, max_queue=1, name="engine-under-test")
        starting = asyncio.create_task(worker.start())
        await asyncio.to_thread(loads.wait, 30)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        goes_on.set()
        await worker.close()
        assert runner.is_closed

    async def test_a_cancelled_start_whose_model_does_not_load_is_quiet(self) -> None:
        loads, goes_on = threading.Event(), threading.Event()

        def build() -> EngineCore:
            loads.set()
            assert goes_on.wait(timeout=30)
            raise OSError("no such file")

        worker = EngineWorker(build, max_queue=1, name="engine-under-test")
        starting = asyncio.create_task(worker.start())
        await asyncio.to_thread(loads.wait, 30)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        goes_on.set()
        await worker.close()
        assert not worker.snapshot().healthy

    async def test_a_worker_starts_once(self, rig: Rig) -> None:
        with pytest.raises(RuntimeError, match="is ready"):
            await rig.worker.start()

    async def test_draining_takes_nothing_new_and_lets_streams_end(self, rig: Rig) -> None:
        rig.gate.hold("prefill", "decode")
        _, reader = rig.submit(max_tokens=50)
        draining = asyncio.create_task(rig.worker.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="shutting down"):
            rig.submit()
        assert rig.worker.snapshot().healthy
        rig.gate.open()
        await draining
        assert reader.ends == [Finished(FinishReason.LENGTH, len(PROMPT), 0, 50)]

    async def test_draining_aborts_what_does_not_end_in_time(self, rig: Rig) -> None:
        rig.gate.hold("prefill", "decode")
        _, reader = rig.submit(max_tokens=400)
        draining = asyncio.create_task(rig.worker.drain(0))
        await asyncio.sleep(0.01)
        rig.gate.open()
        await draining
        (end,) = reader.ends
        assert isinstance(end, Finished)
        assert end.reason is FinishReason.ABORTED

    async def test_draining_an_idle_engine_returns_at_once(self, rig: Rig) -> None:
        await rig.worker.drain(30)
        assert rig.worker.snapshot().num_running == 0

    async def test_closing_ends_open_streams_with_an_error_and_closes_the_model(self, rig: Rig) -> None:
        rig.gate.hold("prefill", "decode")
        _, reader = rig.submit(max_tokens=400)
        closing = asyncio.create_task(rig.worker.close())
        await asyncio.sleep(0)
        assert isinstance(await reader.end(), Unavailable)
        rig.gate.open()
        await closing
        assert rig.runner.is_closed
        with pytest.raises(Unavailable, match="is closed"):
            rig.submit()

    async def test_closing_twice_is_as_good_as_once(self, rig: Rig) -> None:
        await rig.worker.close()
        await rig.worker.close()
        assert rig.runner.is_closed

    async def test_closing_what_never_started_is_quiet(self, make_rig: MakeRig) -> None:
        rig = make_rig()
        await rig.worker.close()
        assert not rig.worker.snapshot().healthy


def test_a_loop_that_closes_under_the_thread_ends_the_thread_quietly(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(settings(), 1)

    async def leave_a_stream_open() -> None:
        await rig.worker.start()
        rig.gate.hold("decode")
        _, reader = rig.submit(max_tokens=400)
        await reader.first.wait()

    asyncio.run(leave_a_stream_open())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "engine-under-test")
    rig.gate.open()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert rig.runner.is_closed
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
