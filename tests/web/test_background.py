"""Work that goes on without its request: waited for like a request, ended with the server."""

import asyncio
import logging

import pytest

from obeaver.web.background import BackgroundWork
from obeaver.web.in_flight import InFlight


async def test_a_server_that_stops_waits_for_it() -> None:
    in_flight, released, ended = InFlight(), asyncio.Event(), []

    async def work() -> None:
        await released.wait()
        ended.append("by itself")

    background = BackgroundWork(in_flight)
    background.start(work)
    await asyncio.sleep(0)
    assert in_flight.count == 1
    draining = asyncio.create_task(in_flight.drain(600))
    await asyncio.sleep(0)
    assert not draining.done()
    released.set()
    await draining
    await background.close()
    assert ended == ["by itself"]


@pytest.mark.parametrize("end", ["deadline", "close"])
async def test_what_takes_too_long_is_cancelled_and_may_tidy_up(end: str) -> None:
    in_flight, ended = InFlight(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("tidy")

    background = BackgroundWork(in_flight)
    background.start(work)
    await asyncio.sleep(0)
    if end == "deadline":
        await in_flight.drain(0)
    await background.close()
    assert ended == ["tidy"]
    assert in_flight.count == 0


async def test_what_fails_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("as the test wants")

    in_flight = InFlight()
    background = BackgroundWork(in_flight)
    background.start(work)
    await asyncio.sleep(0)
    await in_flight.drain(600)
    await background.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "as the test wants" in caplog.text


async def test_what_was_never_begun_is_ended_too() -> None:
    async def work() -> None:
        raise AssertionError("it runs")

    background = BackgroundWork(InFlight())
    background.start(work)
    await background.close()
