"""The encoder's thread, over an encoder in closed form: a text's row is its length and the sum of its ids."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import numpy as np
import pytest

from obeaver.engine.encoding.batches import BatchLimits, TokenisedText
from obeaver.engine.encoding.pooling import FloatArray
from obeaver.engine.encoding.worker import MAX_WAITING_TOKENS, EncoderWorker
from obeaver.engine.sessions.placement import Placement
from obeaver.errors import EngineFailed, QueueFull, Unavailable

POISON = 666


class CountingEncoder:
    """Computes [length, sum]; waits at its gate; fails on poison."""

    label = "closed form"
    size = 2
    limits = BatchLimits(max_tokens=16, max_padded_tokens=16, max_rows=4)

    def __init__(self) -> None:
        self.placement = Placement()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[int] = []

    def compute(self, texts: Sequence[TokenisedText]) -> FloatArray:
        self.entered.set()
        assert self.gate.wait(60)
        self.batches.append(len(texts))
        if any(POISON in text.ids for text in texts):
            raise RuntimeError("poison")
        return np.array([[len(text.ids), sum(text.ids)] for text in texts], np.float32)


Start = Callable[..., Awaitable[tuple[EncoderWorker, CountingEncoder]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    workers: list[EncoderWorker] = []
    encoders: list[CountingEncoder] = []

    async def starting(max_queue: int = 8) -> tuple[EncoderWorker, CountingEncoder]:
        encoder = CountingEncoder()
        worker = EncoderWorker(lambda: encoder, max_queue=max_queue, name="encoder under test")
        await worker.start()
        workers.append(worker)
        encoders.append(encoder)
        return worker, encoder

    yield starting
    for encoder in encoders:
        encoder.gate.set()
    for worker in workers:
        await worker.close()


def text(*ids: int) -> TokenisedText:
    return TokenisedText(ids)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.001)


async def test_rows_come_back_in_the_order_of_the_texts(start: Start) -> None:
    worker, _ = await start()
    rows = await worker.compute([text(1), text(2, 3, 4), text(5), text(6, 7)])
    assert rows.floats() == [[1, 1], [3, 9], [1, 5], [2, 13]]
    assert worker.size == 2


async def test_requests_share_batches_and_each_gets_its_own_rows(start: Start) -> None:
    worker, encoder = await start()
    encoder.gate.clear()
    first = asyncio.create_task(worker.compute([text(9)]))
    await until(encoder.entered.is_set)
    others = [asyncio.create_task(worker.compute([text(n)])) for n in range(4)]
    await until(lambda: worker.snapshot().num_requests == 5)
    encoder.gate.set()
    assert [(await task).floats() for task in (first, *others)] == [[[1, 9]], *([[1, n]] for n in range(4))]
    assert encoder.batches == [1, 4]


async def test_counters_tell_what_was_computed(start: Start) -> None:
    worker, _ = await start()
    await worker.compute([text(1, 2), text(3)])
    snapshot = worker.snapshot()
    totals = snapshot.totals
    assert (totals.requests, totals.texts, totals.tokens, totals.batches) == (1, 2, 3, 2)
    assert (snapshot.num_requests, snapshot.waiting_tokens) == (0, 0)
    assert (snapshot.healthy, snapshot.label) == (True, "closed form")


async def test_a_full_queue_refuses_and_says_when_to_come_back(start: Start) -> None:
    worker, encoder = await start(max_queue=2)
    encoder.gate.clear()
    waiting = [asyncio.create_task(worker.compute([text(1)])) for _ in range(2)]
    await until(lambda: worker.snapshot().num_requests == 2)
    with pytest.raises(QueueFull) as refused:
        await worker.compute([text(1)])
    assert int(refused.value.headers["Retry-After"]) >= 1
    encoder.gate.set()
    await asyncio.gather(*waiting)
    assert (await worker.compute([text(1)])).floats() == [[1, 1]]


async def test_waiting_tokens_are_bounded_too_but_one_request_is_always_taken(start: Start) -> None:
    worker, encoder = await start()
    encoder.gate.clear()
    huge = asyncio.create_task(worker.compute([TokenisedText([1] * (MAX_WAITING_TOKENS + 1))]))
    await until(lambda: worker.snapshot().num_requests == 1)
    with pytest.raises(QueueFull):
        await worker.compute([text(1)])
    encoder.gate.set()
    await huge


async def test_a_cancelled_caller_takes_its_texts_with_it(start: Start) -> None:
    worker, encoder = await start()
    encoder.gate.clear()
    running = asyncio.create_task(worker.compute([text(1)]))
    await until(encoder.entered.is_set)
    leaver = asyncio.create_task(worker.compute([text(n) for n in range(100)]))
    await until(lambda: worker.snapshot().num_requests == 2)
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    assert worker.snapshot().num_requests == 1
    encoder.gate.set()
    await running
    await worker.compute([text(2)])
    assert sum(encoder.batches) == 2


async def test_a_failing_batch_ends_its_requests_and_no_others(start: Start) -> None:
    worker, _ = await start()
    with pytest.raises(EngineFailed):
        await worker.compute([text(1, 1, 1, 1), text(POISON)])
    assert (await worker.compute([text(3)])).floats() == [[1, 3]]
    assert worker.snapshot().healthy
    assert worker.snapshot().totals.failed == 1


async def test_closing_tells_those_who_wait(start: Start) -> None:
    worker, encoder = await start()
    encoder.gate.clear()
    waiting = asyncio.create_task(worker.compute([text(1)]))
    await until(lambda: worker.snapshot().num_requests == 1)
    closing = asyncio.create_task(worker.close())
    with pytest.raises(Unavailable):
        await waiting
    encoder.gate.set()
    await closing
    with pytest.raises(Unavailable):
        await worker.compute([text(1)])


async def test_a_model_that_does_not_load_fails_the_start() -> None:
    def broken() -> CountingEncoder:
        raise RuntimeError("no such graph")

    worker = EncoderWorker(broken, max_queue=1, name="broken")
    with pytest.raises(RuntimeError, match="no such graph"):
        await worker.start()
    await worker.close()
    assert not worker.snapshot().healthy


async def test_a_worker_that_never_started_can_be_closed_and_not_started_then() -> None:
    worker = EncoderWorker(CountingEncoder, max_queue=1, name="unused")
    await worker.close()
    with pytest.raises(RuntimeError):
        await worker.start()


async def test_an_encoder_that_breaks_the_thread_leaves_nobody_waiting(start: Start) -> None:
    worker, encoder = await start()

    def nothing(texts: Sequence[TokenisedText]) -> FloatArray:
        return np.zeros((0, 2), np.float32)

    encoder.compute = nothing  # type: ignore[method-assign]
    with pytest.raises(EngineFailed):
        await worker.compute([text(1)])
    assert not worker.snapshot().healthy
    with pytest.raises(Unavailable):
        await worker.compute([text(1)])


async def test_rows_can_be_shortened_and_written_as_bytes(start: Start) -> None:
    worker, _ = await start()
    rows = await worker.compute([text(3, 1)])
    assert rows.first(1).floats() == [[1.0]]
    assert np.frombuffer(rows.float32_bytes()[0], "<f4").tolist() == rows.floats()[0]
