"""Open and closed loops, in virtual time: every figure is exact."""

import asyncio

import pytest
from support.virtual_time import run_in_virtual_time

from benchmarks.load.generator import LoadFailed, Sent, closed_loop, open_loop
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.results.distribution import percentile

SERVICE_S, STALL_BEGIN_S, STALL_END_S = 0.01, 1.0, 3.0


async def stalling_server(_: int) -> None:
    """Answers within 10 ms, but nothing between the first and the third second."""
    now = asyncio.get_running_loop().time()
    if STALL_BEGIN_S <= now < STALL_END_S:
        await asyncio.sleep(STALL_END_S - now)
    await asyncio.sleep(SERVICE_S)


def latencies(sent: list[Sent[None]]) -> list[float]:
    return [each.latency_s for each in sent]


def test_an_open_loop_shows_a_stall_in_every_request_that_it_concerns() -> None:
    arrivals = [number / 20 for number in range(200)]
    found = latencies(run_in_virtual_time(open_loop(arrivals, stalling_server)))
    expected = [(STALL_END_S - at if STALL_BEGIN_S <= at < STALL_END_S else 0.0) + SERVICE_S for at in arrivals]
    assert found == pytest.approx(expected)
    assert percentile(found, 0.99) == pytest.approx(1.91)
    assert percentile(found, 0.95) == pytest.approx(1.51)


def test_a_closed_loop_hides_the_same_stall_from_its_99th_percentile() -> None:
    found = latencies(run_in_virtual_time(closed_loop(1, 200, stalling_server)))
    assert sum(latency > 1.0 for latency in found) == 1
    assert max(found) == pytest.approx(STALL_END_S - STALL_BEGIN_S + SERVICE_S)
    assert percentile(found, 0.99) == pytest.approx(SERVICE_S)


def test_latency_counts_from_the_intended_time_when_the_generator_itself_is_late() -> None:
    async def late() -> list[Sent[None]]:
        loop = asyncio.get_running_loop()

        async def send(_: int) -> None:
            await asyncio.sleep(SERVICE_S)

        running = asyncio.ensure_future(open_loop([0.5], send))
        await asyncio.sleep(0.4)
        # The loop is busy from 0.4 s to 2.4 s and wakes nobody.
        loop._jump.now_s += 2.0  # type: ignore[attr-defined] # noqa: SLF001
        return await running

    (sent,) = run_in_virtual_time(late())
    assert sent.intended_at == pytest.approx(0.5)
    assert sent.sent_at == pytest.approx(2.4)
    assert sent.latency_s == pytest.approx(1.91)


def test_a_closed_loop_never_has_more_requests_under_way_than_clients() -> None:
    under_way, most = 0, 0

    async def send(_: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(SERVICE_S)
        under_way -= 1

    sent = run_in_virtual_time(closed_loop(4, 30, send))
    assert (len(sent), most) == (30, 4)


def test_a_request_that_fails_makes_the_whole_load_fail_and_tells_how_many() -> None:
    async def send(index: int) -> None:
        await asyncio.sleep(SERVICE_S)
        if index % 2:
            raise OSError(f"request {index} was refused")

    with pytest.raises(LoadFailed, match=r"2 of 4 failed; the first: OSError: request 1 was refused"):
        run_in_virtual_time(open_loop([0.1, 0.2, 0.3, 0.4], send))


def test_poisson_arrivals_are_the_same_for_the_same_seed_and_ascend() -> None:
    arrivals = poisson_arrivals(5.0, 50, seed=3)
    assert arrivals == poisson_arrivals(5.0, 50, seed=3)
    assert arrivals != poisson_arrivals(5.0, 50, seed=4)
    assert arrivals == sorted(arrivals)


def test_gaps_of_poisson_arrivals_are_exponential_with_the_wanted_mean() -> None:
    arrivals = poisson_arrivals(2.0, 20_000, seed=1)
    gaps = [later - earlier for earlier, later in zip([0.0, *arrivals], arrivals, strict=False)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.5, rel=0.03)
    # An exponential distribution's share above its mean is 1/e, and its standard deviation equals its mean.
    assert sum(gap > 0.5 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.015)
    assert (sum((gap - 0.5) ** 2 for gap in gaps) / len(gaps)) ** 0.5 == pytest.approx(0.5, rel=0.05)


def test_a_rate_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        poisson_arrivals(0.0, 3, seed=1)
