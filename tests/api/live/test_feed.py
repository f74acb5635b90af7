"""One look for all who listen."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from support.event_stream import read_json_events
from support.virtual_time import run_in_virtual_time

from obeaver.api.live.feed import EngineFeed, Look


class World:
    """Something to look at, which counts how often it is looked at."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [{"id": "a"}]
        self.last_request = 0
        self.ended = False
        self.num_looks = 0
        self.num_composed = 0
        self.error: Exception | None = None
        self.feed = EngineFeed(self.look, self.compose, lambda: self.ended, interval_s=0.5, longest_silence_s=2.0)

    def look(self) -> Look:
        self.num_looks += 1
        if self.error is not None:
            raise self.error
        return Look(list(self.models), self.last_request)

    def compose(self, look: Look, since: int) -> dict[str, Any]:
        self.num_composed += 1
        return {"models": look.models, "requests": list(range(since + 1, look.last_request + 1))}

    def events(self) -> AsyncGenerator[bytes, None]:
        return self.feed.events()


def told(event: bytes) -> dict[str, Any]:
    data: dict[str, Any]
    (data,) = read_json_events(event)
    return data


def in_world(test: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(World())

    run_in_virtual_time(run())


async def collect(events: AsyncIterator[bytes], num: int) -> list[tuple[float, dict[str, Any]]]:
    clock = asyncio.get_running_loop().time
    return [(clock(), told(await anext(events))) for _ in range(num)]


def test_the_first_event_comes_at_once_and_a_change_with_the_next_tick() -> None:
    async def test(world: World) -> None:
        async with aclosing(world.events()) as events:
            assert told(await anext(events)) == {"models": [{"id": "a"}], "requests": []}
            world.models = [{"id": "b"}]
            assert told(await anext(events))["models"] == [{"id": "b"}]
            assert asyncio.get_running_loop().time() == pytest.approx(0.5)

    in_world(test)


def test_where_nothing_changes_there_is_an_event_every_two_seconds() -> None:
    async def test(world: World) -> None:
        clock = asyncio.get_running_loop().time
        async with aclosing(world.events()) as events:
            times = []
            for _ in range(4):
                await anext(events)
                times.append(clock())
        assert times == pytest.approx([0, 2, 4, 6])

    in_world(test)


def test_an_event_has_the_requests_that_ended_since_the_event_before() -> None:
    async def test(world: World) -> None:
        world.last_request = 2
        async with aclosing(world.events()) as events:
            assert told(await anext(events))["requests"] == [1, 2]
            world.last_request = 4
            assert told(await anext(events))["requests"] == [3, 4]

    in_world(test)


def test_a_listener_who_reads_slowly_misses_ticks_and_no_request() -> None:
    async def test(world: World) -> None:
        async with aclosing(world.events()) as events:
            await anext(events)
            for number in range(1, 9):
                world.last_request = number
                await asyncio.sleep(0.5)
            assert told(await anext(events))["requests"] == list(range(1, 9))

    in_world(test)


def test_twenty_listeners_cost_one_look_and_one_encoding_a_tick() -> None:
    async def test(world: World) -> None:
        async def listen() -> None:
            async with aclosing(world.events()) as events:
                for _ in range(10):
                    await anext(events)

        async def change() -> None:
            for number in range(40):
                world.models = [{"id": "a", "number": number}]
                await asyncio.sleep(0.5)

        changing = asyncio.create_task(change())
        await asyncio.gather(*(listen() for _ in range(20)))
        changing.cancel()
        assert world.num_looks <= 11
        assert world.num_composed <= 11

    in_world(test)


def test_without_listeners_nothing_is_looked_at() -> None:
    async def test(world: World) -> None:
        async with aclosing(world.events()) as events:
            await anext(events)
        looks = world.num_looks
        await asyncio.sleep(60)
        assert world.num_looks == looks
        async with aclosing(world.events()) as again:
            await anext(again)
        assert world.num_looks == looks + 1

    in_world(test)


def test_a_stream_that_was_never_read_leaves_nothing_behind() -> None:
    async def test(world: World) -> None:
        await world.events().aclose()
        await asyncio.sleep(5)
        assert world.num_looks == 0

    in_world(test)


def test_when_the_server_shuts_down_all_streams_end() -> None:
    async def test(world: World) -> None:
        async def listen() -> int:
            return len([event async for event in world.feed.events()])

        listening = [asyncio.create_task(listen()) for _ in range(3)]
        await asyncio.sleep(0.7)
        world.ended = True
        assert await asyncio.gather(*listening) == [1, 1, 1]
        assert asyncio.get_running_loop().time() <= 1.5

    in_world(test)


def test_a_look_that_fails_ends_the_streams_with_its_error_and_the_next_ones_begin_anew() -> None:
    async def test(world: World) -> None:
        async with aclosing(world.events()) as one, aclosing(world.events()) as other:
            await anext(one)
            await anext(other)
            world.error = ValueError("cannot see")
            for events in (one, other):
                with pytest.raises(ValueError, match="cannot see"):
                    await anext(events)
        world.error = None
        async with aclosing(world.events()) as events:
            assert told(await anext(events))["models"] == [{"id": "a"}]

    in_world(test)
