"""Work of many requests that arrive together is done in turns."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from obeaver.web.turns import ROUND_S, Turns


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_much_work_is_spread_over_rounds_of_the_loop_in_its_order() -> None:
    clock = Clock()
    turns = Turns(clock)
    done: list[int] = []
    rounds: list[int] = []

    def work(number: int) -> int:
        clock.now_s += ROUND_S / 2
        done.append(number)
        return number

    async def count_rounds() -> None:
        while len(done) < 20:
            rounds.append(len(done))
            await asyncio.sleep(0)

    results = await asyncio.gather(count_rounds(), *(turns.do(partial(work, n)) for n in range(20)))
    assert results[1:] == list(range(20))
    assert done == list(range(20))
    assert max(b - a for a, b in pairwise(rounds)) <= 4


async def test_work_that_fails_fails_for_its_own_request_alone() -> None:
    turns = Turns()

    def fail() -> None:
        raise ValueError("mine")

    failed, done = await asyncio.gather(turns.do(fail), turns.do(lambda: 1), return_exceptions=True)
    assert isinstance(failed, ValueError)
    assert done == 1


async def test_who_leaves_while_he_waits_holds_up_nobody() -> None:
    clock = Clock()
    turns = Turns(clock)

    def long() -> None:
        clock.now_s += 1

    first = asyncio.ensure_future(turns.do(long))
    waiting = asyncio.ensure_future(turns.do(lambda: 1))
    other = asyncio.ensure_future(turns.do(lambda: 2))
    await asyncio.sleep(0)
    waiting.cancel()
    await first
    assert await other == 2
    with pytest.raises(asyncio.CancelledError):
        await waiting
