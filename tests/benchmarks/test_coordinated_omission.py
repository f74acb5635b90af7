"""A server that stalls for two seconds once: an open loop shows it, a closed loop does not.

Nothing here depends on the machine's speed. The stall is two seconds of the server's own clock, and whatever is slow
makes latencies longer: every bound is a lower one. That a closed loop with one client meets the stall once is a matter
of order, not of time.
"""

from support.chat_stand_in import STALL_S, ChatStandIn, chat_stand_in

from benchmarks.load.chat_stream import StreamTrace, stream_chat
from benchmarks.load.generator import closed_loop, open_loop
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.questions.open_loop import latency_figures

MESSAGES = [{"role": "user", "content": "Hello"}]
NUM_REQUESTS, STALL_AT = 150, 20


def sender(stand_in: ChatStandIn):  # type: ignore[no-untyped-def]
    async def send(_: int) -> StreamTrace:
        return await stream_chat(stand_in.url, MESSAGES)

    return send


async def test_an_open_loop_over_http_shows_a_stall_of_two_seconds_in_its_percentiles() -> None:
    async with chat_stand_in(ChatStandIn(stall_at=STALL_AT)) as stand_in:
        arrivals = poisson_arrivals(75.0, NUM_REQUESTS, seed=5)
        sent = await open_loop(arrivals, sender(stand_in))
    figures = latency_figures(sent)
    # Everybody who was meant to be sent within a second of the stall's begin waited for a second at least.
    begin_s = arrivals[STALL_AT - 1]
    num_concerned = sum(begin_s <= at <= begin_s + STALL_S / 2 for at in arrivals)
    assert num_concerned > 50
    assert sum(each.latency_s >= STALL_S / 2 for each in sent) >= num_concerned
    assert figures["open-loop.first_p99"] >= 1800
    assert figures["open-loop.first_p95"] >= 1500
    assert figures["open-loop.whole_p50"] >= 500


async def test_a_closed_loop_over_http_meets_the_same_stall_once_and_sends_nothing_meanwhile() -> None:
    async with chat_stand_in(ChatStandIn(stall_at=STALL_AT)) as stand_in:
        sent = await closed_loop(1, NUM_REQUESTS, sender(stand_in))
        assert stand_in.num_held == 1
    assert max(each.latency_s for each in sent) >= STALL_S
