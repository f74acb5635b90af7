"""Stopping with grace: newcomers are refused, the others may end within a limit."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.asgi import exchange, http_scope, request
from support.event_stream import read_json_events

from obeaver.errors import Unavailable
from obeaver.web import sse
from obeaver.web.in_flight import Drain, InFlight
from obeaver.web.middleware import ErrorBoundary
from obeaver.web.response import TextResponse
from obeaver.web.stream import EventStream
from obeaver.web.types import ASGIApp, Receive, Scope, Send


class Endless:
    """An app that streams one event and then nothing more until `end`."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            yield sse.event({"n": 1})
            await self.end.wait()
            yield sse.event({"n": 2})
        finally:
            self.closed = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await EventStream(self.chunks())(scope, receive, send)


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def behind(in_flight: InFlight, app: ASGIApp) -> ASGIApp:
    return ErrorBoundary(Drain(app, in_flight=in_flight))


async def test_requests_are_counted_while_they_are_answered() -> None:
    in_flight, endless = InFlight(), Endless()
    async with exchange(behind(in_flight, endless), http_scope("POST")) as (running, task):
        await running.chunk(0)
        assert in_flight.count == 1

        endless.end.set()
        await task
        assert in_flight.count == 0


async def test_a_drain_with_nobody_there_ends_at_once() -> None:
    in_flight = InFlight()

    await asyncio.wait_for(in_flight.drain(60), 5)

    assert in_flight.draining


async def test_newcomers_are_refused_and_their_connection_closed() -> None:
    in_flight = InFlight()
    await in_flight.drain(60)

    reply = await request(behind(in_flight, TextResponse("hello")), "GET", "/")

    assert (reply.status, reply.error["code"]) == (503, "shutting_down")
    assert reply.headers["connection"] == "close"


async def test_who_only_asks_how_the_server_is_is_told_to_the_last() -> None:
    in_flight = InFlight()
    await in_flight.drain(60)
    app = Drain(TextResponse("draining"), in_flight=in_flight, watching=["/health"])

    assert (await request(app, "GET", "/health")).status == 200
    with pytest.raises(Unavailable) as refused:
        await request(app, "GET", "/health/x")
    assert int(refused.value.headers["Retry-After"]) >= 1


async def test_an_answer_may_end_within_the_limit() -> None:
    in_flight, endless = InFlight(), Endless()
    async with exchange(behind(in_flight, endless), http_scope("POST")) as (running, task):
        await running.chunk(0)
        draining = asyncio.create_task(in_flight.drain(60))
        await asyncio.sleep(0)
        assert not draining.done()

        endless.end.set()

        await asyncio.wait_for(draining, 5)
        await task
        assert read_json_events(running.reply.body) == [{"n": 1}, {"n": 2}]


async def test_a_stream_beyond_the_limit_ends_with_an_error_event() -> None:
    in_flight, endless = InFlight(), Endless()
    async with exchange(behind(in_flight, endless), http_scope("POST")) as (running, task):
        await running.chunk(0)

        await asyncio.wait_for(in_flight.drain(0.01), 5)
        await task

    first, last = read_json_events(running.reply.body)
    assert first == {"n": 1}
    assert last["error"]["code"] == "shutting_down"
    assert running.reply.complete
    assert endless.closed


async def test_an_answer_that_has_not_begun_beyond_the_limit_is_a_503() -> None:
    in_flight = InFlight()
    async with exchange(behind(in_flight, never), http_scope("POST")) as (running, task):
        await asyncio.sleep(0)
        await asyncio.wait_for(in_flight.drain(0), 5)
        await task

    assert running.reply.status == 503


async def test_a_drain_can_be_cut_short_more_than_once() -> None:
    in_flight = InFlight()
    async with exchange(behind(in_flight, never), http_scope("POST")) as (running, task):
        await asyncio.sleep(0)
        draining = asyncio.create_task(in_flight.drain(600))
        await asyncio.sleep(0)

        in_flight.cut_short()
        in_flight.cut_short()
        await asyncio.sleep(0)
        in_flight.cut_short()

        await asyncio.wait_for(draining, 5)
        await task
    assert running.reply.status == 503


async def test_a_timeout_of_the_answers_own_stays_what_it_is() -> None:
    in_flight = InFlight()

    with pytest.raises(TimeoutError):
        async with in_flight.track():
            raise TimeoutError

    assert in_flight.count == 0


async def test_a_cancellation_from_outside_stays_what_it_is() -> None:
    in_flight = InFlight()
    async with exchange(Drain(never, in_flight=in_flight), http_scope()) as (_, task):
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_error_is_the_one_of_the_tree() -> None:
    in_flight = InFlight()
    await in_flight.drain(0)

    with pytest.raises(Unavailable):
        await request(Drain(TextResponse("hello"), in_flight=in_flight), "GET", "/")
