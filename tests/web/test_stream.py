"""Event streams and long answers, message by message: what is sent when, and what happens when the client leaves."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.asgi import Exchange, call, exchange, http_scope
from support.event_stream import read_events

from obeaver.errors import EngineFailed
from obeaver.web import sse
from obeaver.web.request import ClientDisconnected, Request
from obeaver.web.stream import EventStream, run_until_disconnect


class Chunks:
    """Chunks that the test hands out one by one, and that remember being closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.num_taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self.queue.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                self.num_taken += 1
                yield chunk
        finally:
            self.closed = True

    def put(self, *chunks: bytes | Exception | None) -> None:
        for chunk in chunks:
            self.queue.put_nowait(chunk)

    def stream(self, keep_alive_s: float = 60) -> EventStream:
        return EventStream(self.__aiter__(), keep_alive_s=keep_alive_s)


class Counter:
    """An iterator that is no generator; nothing runs in it before its first chunk is asked for."""

    def __init__(self, num_chunks: int) -> None:
        self.num_left = num_chunks
        self.closed = False

    def __aiter__(self) -> "Counter":
        return self

    async def __anext__(self) -> bytes:
        if not self.num_left:
            raise StopAsyncIteration
        self.num_left -= 1
        return sse.event(self.num_left)

    async def aclose(self) -> None:
        self.closed = True


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_chunk_is_sent_as_it_comes() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        chunks.put(sse.event("one"))
        assert await running.chunk(0) == sse.event("one")
        assert not running.reply.complete

        chunks.put(sse.event("two"))
        assert await running.chunk(1) == sse.event("two")

        chunks.put(None)
        await task
        assert running.reply.complete


async def test_the_headers_say_event_stream_and_forbid_buffering() -> None:
    stream = EventStream(Counter(1), headers={"X-Extra": "yes"})

    reply = await call(stream, http_scope("POST"))

    assert reply.status == 200
    assert reply.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
        "x-extra": "yes",
    }


async def test_a_stream_without_chunks_is_an_empty_answer() -> None:
    reply = await call(EventStream(Counter(0)), http_scope("POST"))

    assert (reply.status, reply.body, reply.complete) == (200, b"", True)


async def test_an_empty_chunk_sends_nothing() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        chunks.put(b"")
        await settle()
        assert running.reply.status is None

        chunks.put(b"x", b"", b"y", None)
        await task
        assert running.reply.chunks == [b"x", b"y"]


async def test_nothing_is_sent_before_the_first_chunk() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (running, _):
        await settle()

        assert running.reply.status is None


async def test_an_error_before_the_first_chunk_leaves_the_answer_to_the_caller() -> None:
    chunks = Chunks()
    chunks.put(EngineFailed("It failed."))
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        with pytest.raises(EngineFailed):
            await task

        assert running.reply.status is None


async def test_an_error_after_the_first_chunk_leaves_the_end_to_the_caller() -> None:
    chunks = Chunks()
    chunks.put(b"x", EngineFailed("It failed."))
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        with pytest.raises(EngineFailed):
            await task

        assert running.reply.chunks == [b"x"]
        assert not running.reply.complete
        assert chunks.closed


async def test_silence_before_the_first_chunk_starts_the_stream_with_comments() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(keep_alive_s=0.01), http_scope("POST")) as (running, task):
        assert await running.chunk(0) == sse.COMMENT
        assert await running.chunk(1) == sse.COMMENT
        assert running.reply.status == 200

        chunks.put(sse.event("late"), None)
        await task
        assert read_events(running.reply.body) == ["late"]


async def test_silence_between_chunks_is_filled_with_comments() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(keep_alive_s=0.01), http_scope("POST")) as (running, task):
        chunks.put(sse.event("early"))
        await running.chunk(0)
        assert await running.chunk(1) == sse.COMMENT

        chunks.put(sse.event("late"), None)
        await task
        assert read_events(running.reply.body) == ["early", "late"]


async def test_a_stream_that_is_never_silent_has_no_comments() -> None:
    async def busy() -> AsyncIterator[bytes]:
        for number in range(20):
            yield sse.event(number)
            await asyncio.sleep(0.005)

    reply = await call(EventStream(busy(), keep_alive_s=1), http_scope("POST"))

    assert reply.chunks == [sse.event(number) for number in range(20)]


async def test_a_client_that_leaves_closes_the_iterator_that_waits_for_a_token() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        chunks.put(sse.event("one"))
        await running.chunk(0)
        await settle()

        await running.leave()
        await settle()

        assert chunks.closed
        with pytest.raises(ClientDisconnected):
            await task


async def test_a_client_that_leaves_before_the_first_chunk_closes_the_iterator() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        await settle()
        await running.leave()

        with pytest.raises(ClientDisconnected):
            await task
        assert chunks.closed


async def test_a_client_that_had_left_already_closes_an_iterator_that_never_ran() -> None:
    counter = Counter(5)
    running = Exchange([b""])
    running.cut_body()

    async def stalled(_message: object) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ClientDisconnected):
        await EventStream(counter)(http_scope("POST"), running.receive, stalled)

    assert counter.closed


async def test_a_cancelled_request_closes_the_iterator() -> None:
    chunks = Chunks()
    async with exchange(chunks.stream(), http_scope("POST")) as (_, task):
        await settle()
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert chunks.closed


async def test_a_slow_reader_slows_the_iterator() -> None:
    chunks = Chunks()
    chunks.put(b"1", b"2", b"3", None)
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        running.stop_reading()
        await settle()
        assert chunks.num_taken == 1

        running.read_on()
        await task
        assert running.reply.chunks == [b"1", b"2", b"3"]


async def test_a_reader_that_has_stopped_gets_no_comments_piled_up() -> None:
    chunks = Chunks()
    chunks.put(b"1")
    async with exchange(chunks.stream(keep_alive_s=0.01), http_scope("POST")) as (running, task):
        running.stop_reading()
        await asyncio.sleep(0.1)
        chunks.put(b"2", None)

        running.read_on()
        await task
        assert running.reply.chunks == [b"1", b"2"]


async def test_a_reader_that_has_stopped_and_leaves_closes_the_iterator() -> None:
    chunks = Chunks()
    chunks.put(b"1", b"2")
    async with exchange(chunks.stream(), http_scope("POST")) as (running, task):
        running.stop_reading()
        await settle()

        await running.leave()

        with pytest.raises(ClientDisconnected):
            await task
        assert chunks.closed


async def test_a_failure_while_closing_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> AsyncIterator[bytes]:
        try:
            yield b"1"
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("cannot close")

    async with exchange(EventStream(stubborn()), http_scope("POST")) as (running, task):
        await running.chunk(0)
        await settle()
        await running.leave()

        with pytest.raises(ClientDisconnected):
            await task

    assert "cannot close" in caplog.text


def make_request() -> tuple[Request, Exchange]:
    running = Exchange([b"{}"])
    return Request(http_scope("POST"), running.receive), running


async def test_the_result_of_work_is_handed_on() -> None:
    request, _ = make_request()

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await run_until_disconnect(request, work()) == 7


async def test_the_error_of_work_is_handed_on() -> None:
    request, _ = make_request()

    async def work() -> None:
        raise EngineFailed("It failed.")

    with pytest.raises(EngineFailed):
        await run_until_disconnect(request, work())


async def test_work_is_cancelled_when_the_client_leaves() -> None:
    request, running = make_request()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    waiting = asyncio.create_task(run_until_disconnect(request, work()))
    await settle()
    await running.leave()

    with pytest.raises(ClientDisconnected):
        await waiting
    assert ended == ["cancelled"]


async def test_work_is_cancelled_with_the_request() -> None:
    request, _ = make_request()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(run_until_disconnect(request, work()))
    await settle()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
