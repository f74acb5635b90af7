"""Groups `streams` and `context`: decode and prefill over HTTP, first tokens and the gaps between tokens.

Prompts are new each time, so no cache helps. Sampling is greedy and end of text is ignored, so every answer is full
length.
"""

import asyncio
import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.bench import Bench
from benchmarks.conductor import Question
from benchmarks.contenders.present import reads_far
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import StreamTrace, decode_rate, prefill_rate, stream_chat
from benchmarks.load.prompts import fresh_messages
from benchmarks.results.distribution import percentile
from benchmarks.results.document import Metric

STREAMS = (1, 4, 8, 16)
_SHORT_PROMPT_WORDS = 24
# What the template and the message add to the words of a prompt, in tokens of the default model.
_OVERHEAD = 30
_LONG, _FAR = 7500, 16_000
_FULL_PREFILLS = {1: 512, 4: 256, 8: 256, 16: 128}
_QUICK_PREFILLS = {1: 512, 4: 128, 8: 96, 16: 64}


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of both groups."""
    quick = bench.options.quick
    for count in STREAMS:
        yield _decode(bench, count, (48 if count == 1 else 24) if quick else 128)
    for count, num_tokens in (_QUICK_PREFILLS if quick else _FULL_PREFILLS).items():
        yield _prefill(bench, "streams", count, num_tokens)
    far = (_FAR,) if reads_far(bench.folder) else ()
    for num_tokens in (128, 2048, 3900, _LONG, *far):
        yield _prefill(bench, "context", 1, num_tokens)
    for num_tokens in (1024, 4096, *far):
        yield _decode_at(bench, num_tokens)


async def streams(server: Server, count: int, num_words: int, num_tokens: int) -> list[StreamTrace]:
    """So many streams at once, each with a prompt of its own."""
    calls = [
        stream_chat(server.url, fresh_messages(num_words), model=server.model, max_tokens=num_tokens)
        for _ in range(count)
    ]
    return list(await asyncio.gather(*calls))


def gap_figures(traces: Sequence[StreamTrace], prefix: str) -> dict[str, float]:
    """Percentiles of the gaps between tokens of all streams, ms, by metric."""
    gaps_ms = [1000 * gap for trace in traces for gap in trace.gaps_s]
    return {f"{prefix}.gap_p{share}": percentile(gaps_ms, share / 100) for share in (50, 95, 99)}


def gap_metrics(prefix: str, what: str) -> list[Metric]:
    """The metrics of `gap_figures`."""
    return [
        Metric(f"{prefix}.gap_p{share}", f"{what}, between tokens, p{share}", "ms", higher_is_better=False)
        for share in (50, 95, 99)
    ]


def _decode(bench: Bench, count: int, num_tokens: int) -> Question:
    name, what = f"decode-{count}", f"decode, {streams_of(count)} of {num_tokens} tokens"
    metrics = [
        Metric(f"{name}.rate", what, "tok/s"),
        Metric(f"{name}.first", f"{what}, first token", "ms", higher_is_better=False),
        *gap_metrics(name, what),
    ]

    async def ask(server: Server) -> Mapping[str, float]:
        traces = await streams(server, count, _SHORT_PROMPT_WORDS, num_tokens)
        return {
            f"{name}.rate": decode_rate(traces),
            f"{name}.first": 1000 * statistics.median(trace.first_token_s for trace in traces),
            **gap_figures(traces, name),
        }

    return bench.ask(name, "streams", metrics, ask, contenders=bench.lone if count == 1 else None)


def _prefill(bench: Bench, group: str, count: int, num_tokens: int) -> Question:
    name = f"prefill-{count}" if group == "streams" else f"prefill-{num_tokens}-tokens"
    title = f"prefill, {num_tokens:,} tokens" + (f" in each of {count} streams" if count > 1 else "")

    async def ask(server: Server) -> Mapping[str, float]:
        return {f"{name}.rate": prefill_rate(await streams(server, count, num_tokens - _OVERHEAD, 2))}

    contenders = bench.roomy if num_tokens >= _LONG else None
    return bench.ask(name, group, [Metric(f"{name}.rate", title, "tok/s")], ask, contenders=contenders)


def _decode_at(bench: Bench, num_tokens: int) -> Question:
    name = f"decode-at-{num_tokens}"

    async def ask(server: Server) -> Mapping[str, float]:
        # Half of the answer lies on either side of the place that the row is named for.
        traces = await streams(server, 1, num_tokens - _OVERHEAD - 48, 96)
        return {f"{name}.rate": decode_rate(traces)}

    metric = Metric(f"{name}.rate", f"decode at context {num_tokens:,}", "tok/s")
    return bench.ask(name, "context", [metric], ask, contenders=bench.roomy if num_tokens == _FAR else bench.lone)


def streams_of(count: int) -> str:
    """`1 stream`, `8 streams`."""
    return f"{count} stream{'s' * (count > 1)}"
