"""Generations over a worker whose model says what the test wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.decoders import ByteDecoder
from support.scripted_model import (
    CONTEXT_LENGTH,
    END_ID,
    SLOW_STEP_S,
    Reply,
    ScriptedRunner,
    ids_of,
    says,
    start_worker,
)

from obeaver.api.core.generation import Generation
from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.outputs import Ended, Output, Piece
from obeaver.engine.decoding.sequence import FinishReason
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ContextLengthExceeded, EngineFailed, InternalError, QueueFull, Unavailable
from obeaver.text.events import ContentDelta, ReasoningDelta, join_events
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.text_stream import TextStream

PROMPT = ids_of("Hi")
END_IDS = frozenset({END_ID})


class Broken(ByteDecoder):
    """A decoder with a bug."""

    def push(self, token_id: int) -> str:
        raise ZeroDivisionError


@asynccontextmanager
async def engine(reply: Reply, **options: Any) -> AsyncIterator[EngineWorker]:
    fails: Callable[[int], bool] = options.pop("fails", lambda num_runs: False)
    runner = ScriptedRunner(reply, fails=fails, step_s=options.pop("step_s", 0.0))
    worker = await start_worker(runner, **options)
    try:
        yield worker
    finally:
        await worker.close()


def generation(
    worker: EngineWorker, *, n: int = 1, decoder: type[ByteDecoder] = ByteDecoder, **text: Any
) -> Generation:
    texts = [TextStream(decoder(), end_ids=END_IDS, **text) for _ in range(n)]
    return Generation(worker, texts, lambda: ContentLogprobs(lambda token_id: bytes([token_id % 256]), END_IDS))


def params(max_tokens: int = 100, **others: Any) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, **{"temperature": 0, "stop_token_ids": END_IDS, **others})


async def collect(making: Generation) -> list[Output]:
    return [output async for batch in making for output in batch]


def text_of_choice(outputs: Iterable[Output], choice: int = 0) -> str:
    pieces = [output for output in outputs if isinstance(output, Piece) and output.choice == choice]
    return join_events(piece.event for piece in pieces).content


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # counters of another thread
            await asyncio.sleep(0.001)


async def test_text_then_the_end() -> None:
    async with engine(says("Hello, né 🦫!")) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params()])
        outputs = await collect(making)
    assert text_of_choice(outputs) == "Hello, né 🦫!"
    assert outputs[-1] == Ended(0, "stop")
    assert (making.usage.prompt, making.usage.completion) == (2, len("Hello, né 🦫!".encode()) + 1)


async def test_the_limit_ends_an_answer_with_length() -> None:
    async with engine(says("Hello")) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params(max_tokens=3)])
        outputs = await collect(making)
    assert (text_of_choice(outputs), outputs[-1]) == ("Hel", Ended(0, "length"))
    assert making.usage.completion == 3


async def test_a_stop_string_ends_the_answer_and_frees_its_place() -> None:
    endless = "one two three " * 200
    async with engine(says(endless)) as worker:
        making = generation(worker, stop=[" thr"])
        making.submit(PROMPT, [params(max_tokens=2000)])
        outputs = await collect(making)
        assert (text_of_choice(outputs), outputs[-1]) == ("one two", Ended(0, "stop", " thr"))
        assert making.usage.completion == len("one two thr")
        finished = worker.snapshot().totals.finished
        assert finished[FinishReason.LENGTH] == 0


async def test_a_stop_string_that_is_complete_with_the_last_token_is_a_stop() -> None:
    async with engine(says("one two")) as worker:
        making = generation(worker, stop=["wo"])
        making.submit(PROMPT, [params(max_tokens=7)])
        outputs = await collect(making)
    assert (text_of_choice(outputs), outputs[-1]) == ("one t", Ended(0, "stop", "wo"))


async def test_a_client_that_reads_late_gets_the_same_text_in_few_pieces() -> None:
    async with engine(says("x" * 300)) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params(max_tokens=400)])
        await until(lambda: making.choices[0].done)
        batches = [batch async for batch in making]
    assert len(batches) == 1
    assert [type(output) for output in batches[0]] == [Piece, Ended]
    assert text_of_choice(batches[0]) == "x" * 300


async def test_pieces_of_different_kinds_are_not_joined() -> None:
    async with engine(says("<t>why</t>so")) as worker:
        making = generation(worker, think=ThinkMarkers("<t>", "</t>"))
        making.submit(PROMPT, [params()])
        await until(lambda: making.choices[0].done)
        outputs = await collect(making)
    events = [output.event for output in outputs if isinstance(output, Piece)]
    assert events == [ReasoningDelta("why"), ContentDelta("so")]
    assert 3 <= making.usage.reasoning < making.usage.completion


async def test_logprobs_go_out_with_their_text_and_not_with_thoughts() -> None:
    async with engine(says("<t>why</t>so")) as worker:
        making = generation(worker, think=ThinkMarkers("<t>", "</t>"))
        making.submit(PROMPT, [params(num_logprobs=1)])
        outputs = await collect(making)
    entries = [entry for output in outputs if isinstance(output, Piece) for entry in output.logprobs]
    assert [entry.token for entry in entries][-2:] == [b"s", b"o"]
    assert b"w" not in [entry.token for entry in entries]
    assert all(len(entry.top) == 1 for entry in entries)


async def test_choices_are_told_apart_and_count_the_prompt_once() -> None:
    async with engine(lambda _prompt: None) as worker:
        making = generation(worker, n=3)
        making.submit(PROMPT, [params(max_tokens=5, temperature=1.0, seed=seed) for seed in (1, 2, 3)])
        outputs = await collect(making)
    texts = [text_of_choice(outputs, choice) for choice in range(3)]
    assert [len(text) for text in texts] == [5, 5, 5]
    assert len(set(texts)) == 3
    assert sorted(output.choice for output in outputs if isinstance(output, Ended)) == [0, 1, 2]
    assert (making.usage.prompt, making.usage.completion) == (2, 15)


async def test_cancelling_frees_the_place_and_may_be_done_twice() -> None:
    async with engine(says("x" * 4000), step_s=SLOW_STEP_S) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params(max_tokens=4000)])
        await anext(making)
        await making.aclose()
        making.cancel()
        await until(lambda: worker.snapshot().totals.finished[FinishReason.ABORTED] == 1)
        assert worker.snapshot().num_running == 0


async def test_a_generation_that_was_never_read_is_cancelled_too() -> None:
    async with engine(says("x" * 4000), step_s=SLOW_STEP_S) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params(max_tokens=4000)])
        await making.aclose()
        await until(lambda: worker.snapshot().totals.finished[FinishReason.ABORTED] == 1)


async def test_choices_that_do_not_all_fit_are_all_given_back() -> None:
    async with engine(says("x" * 4000), step_s=SLOW_STEP_S, max_rows=1, max_queue=1) as worker:
        making = generation(worker, n=3)
        with pytest.raises(QueueFull):
            making.submit(PROMPT, [params(max_tokens=4000)] * 3)
        await until(lambda: worker.snapshot().totals.finished[FinishReason.ABORTED] == 2)
        assert worker.snapshot().num_waiting == 0


async def test_a_prompt_that_never_fits_is_refused() -> None:
    async with engine(says("x")) as worker:
        with pytest.raises(
            ContextLengthExceeded, match=f"maximum context length is {CONTEXT_LENGTH} .*{CONTEXT_LENGTH + 1}"
        ):
            generation(worker).submit([1] * (CONTEXT_LENGTH + 1), [params(max_tokens=1)])


async def test_a_step_that_fails_ends_the_iteration_with_the_engines_error() -> None:
    async with engine(says("Hello"), fails=lambda num_runs: num_runs == 3) as worker:
        making = generation(worker, n=2)
        making.submit(PROMPT, [params(), params()])
        with pytest.raises(EngineFailed):
            await collect(making)


async def test_an_answer_that_the_server_cuts_off_ends_with_an_error() -> None:
    async with engine(says("x" * 4000), step_s=SLOW_STEP_S) as worker:
        making = generation(worker)
        making.submit(PROMPT, [params(max_tokens=4000)])
        await anext(making)
        await worker.drain(0)
        with pytest.raises(Unavailable, match="shutting down"):
            await collect(making)


async def test_text_work_that_fails_is_told_to_the_client_and_frees_the_place() -> None:
    async with engine(says("x" * 4000), step_s=SLOW_STEP_S) as worker:
        making = generation(worker, decoder=Broken)
        making.submit(PROMPT, [params(max_tokens=4000)])
        with pytest.raises(InternalError):
            await collect(making)
        await until(lambda: worker.snapshot().totals.finished[FinishReason.ABORTED] == 1)


async def test_an_answer_that_nobody_reads_ends_where_its_engine_cannot_let_it_stand_still() -> None:
    async with engine(lambda _prompt: None) as worker:
        texts = [TextStream(ByteDecoder(), end_ids=END_IDS)]
        answer = Generation(worker, texts, lambda: ContentLogprobs(lambda token_id: b"", END_IDS), unsent_bytes=10_000)
        answer.submit(PROMPT, [SamplingParams(max_tokens=4000)])
        await worker.idle()
        assert answer.usage.completion < 400
        with pytest.raises(Unavailable) as refused:
            async for _ in answer:
                pass
    assert refused.value.code == "not_read"
