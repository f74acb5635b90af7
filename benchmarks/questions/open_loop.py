"""Group `open-loop`: requests of mixed lengths, sent at random times whatever became of those before.

Latency counts from the time at which a request was meant to be sent. The same requests from clients that wait for each
answer (a closed loop) stand beside it: they show throughput, not latency.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from benchmarks.bench import Bench
from benchmarks.conductor import Question
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import StreamTrace, stream_chat
from benchmarks.load.generator import Sent, closed_loop, open_loop
from benchmarks.load.prompts import ChatRequest, mixed_requests
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.questions.chat import gap_figures, gap_metrics
from benchmarks.results.distribution import percentile
from benchmarks.results.document import Metric

NUM_CLIENTS = 4


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of the group."""
    options = bench.options
    count = 8 if options.quick else 48
    arrivals = poisson_arrivals(options.rate_per_s, count, options.seed)
    what = f"open loop, {options.rate_per_s:g} requests/s"
    latencies = [
        Metric(f"open-loop.{part}_p{share}", f"{what}, {title}, p{share}", "ms", higher_is_better=False)
        for part, title in (("first", "first token"), ("whole", "whole answer"))
        for share in (50, 95, 99)
    ]

    async def ask_open(server: Server) -> Mapping[str, float]:
        sent = await open_loop(arrivals, _sender(server, mixed_requests(count, options.seed)))
        return latency_figures(sent) | gap_figures([each.answer for each in sent], "open-loop")

    async def ask_closed(server: Server) -> Mapping[str, float]:
        sent = await closed_loop(NUM_CLIENTS, count, _sender(server, mixed_requests(count, options.seed)))
        spent_s = max(each.ended_at for each in sent) - min(each.sent_at for each in sent)
        num_tokens = sum(each.answer.num_tokens for each in sent)
        return {"closed-loop.requests": len(sent) / spent_s, "closed-loop.rate": num_tokens / spent_s}

    metrics = [*latencies, *gap_metrics("open-loop", what)]
    if options.quick:
        some = [name for name, each in bench.fleet.contenders.items() if not each.is_ours or name == bench.ours]
        yield bench.ask("open-loop", "open-loop", metrics, ask_open, contenders=some)
        return
    yield bench.ask("open-loop", "open-loop", metrics, ask_open)
    clients = f"closed loop, {NUM_CLIENTS} clients"
    metrics = [
        Metric("closed-loop.requests", clients, "req/s"),
        Metric("closed-loop.rate", f"{clients}, answers", "tok/s"),
    ]
    yield bench.ask("closed-loop", "open-loop", metrics, ask_closed)


def latency_figures(sent: Sequence[Sent[StreamTrace]]) -> dict[str, float]:
    """Percentiles of the time to the first token and to the whole answer, ms, from the intended send time on."""
    parts = {
        "first": [1000 * (each.answer.arrivals[0] - each.intended_at) for each in sent],
        "whole": [1000 * each.latency_s for each in sent],
    }
    return {
        f"open-loop.{part}_p{share}": percentile(values, share / 100)
        for part, values in parts.items()
        for share in (50, 95, 99)
    }


def _sender(server: Server, requests: Sequence[ChatRequest]) -> Callable[[int], Awaitable[StreamTrace]]:
    async def send(index: int) -> StreamTrace:
        request = requests[index]
        return await stream_chat(server.url, request.messages, model=server.model, max_tokens=request.max_tokens)

    return send
