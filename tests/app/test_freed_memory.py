"""When the C library is asked to give freed memory back."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

from obeaver.app.freed_memory import GROWTH_BYTES, FreedMemory, giving_back
from obeaver.web.in_flight import InFlight


class Process:
    """A process whose memory is what a test says, and falls to `kept` when it is asked back."""

    def __init__(self) -> None:
        self.size = self.kept = 100 * GROWTH_BYTES
        self.num_asked = 0

    def give_back(self) -> None:
        self.num_asked += 1
        self.size = self.kept


@contextlib.asynccontextmanager
async def request(in_flight: InFlight) -> AsyncIterator[None]:
    async with in_flight.track():
        yield


async def test_nothing_is_asked_of_a_process_that_does_not_grow() -> None:
    process, in_flight = Process(), InFlight()
    freed = FreedMemory(in_flight, lambda: process.size, process.give_back)
    for _ in range(3):
        async with request(in_flight):
            assert not await freed.look()
        assert not await freed.look()
        process.size += GROWTH_BYTES // 4
    assert process.num_asked == 0


async def test_a_process_that_has_grown_is_asked_once() -> None:
    process = Process()
    freed = FreedMemory(InFlight(), lambda: process.size, process.give_back)
    process.size += GROWTH_BYTES + 1
    num_threads = threading.active_count()
    assert [await freed.look() for _ in range(3)] == [True, False, False]
    assert threading.active_count() == num_threads


async def test_what_is_still_in_use_is_asked_for_when_its_request_ends() -> None:
    process, in_flight = Process(), InFlight()
    freed = FreedMemory(in_flight, lambda: process.size, process.give_back)
    async with request(in_flight):
        async with request(in_flight):
            process.size = process.kept = process.size + 10 * GROWTH_BYTES
            assert await freed.look()
            assert not await freed.look()
        process.kept -= 5 * GROWTH_BYTES
        assert await freed.look()
        assert not await freed.look()
    process.kept -= 5 * GROWTH_BYTES
    assert await freed.look()
    assert process.size == 100 * GROWTH_BYTES
    async with request(in_flight):
        assert not await freed.look()
    assert not await freed.look()


async def test_growth_is_counted_from_the_least_that_was_seen() -> None:
    process = Process()
    freed = FreedMemory(InFlight(), lambda: process.size, process.give_back)
    process.size -= 3 * GROWTH_BYTES
    assert not await freed.look()
    process.size += GROWTH_BYTES + 1
    assert await freed.look()


async def test_the_looks_end_with_their_block() -> None:
    before = asyncio.all_tasks()
    async with giving_back(InFlight()):
        assert len(asyncio.all_tasks()) == len(before) + 1
    assert asyncio.all_tasks() == before
