"""Group `in-process`: what HTTP costs, and obeaver's engine beside onnxruntime-genai's own two.

All have the same folder, threads and default settings, and take turns. Prompts are random token ids of the length that
the HTTP prompts have, so that no cache helps. HTTP is held against the engine without lookahead on either side: how
much can be computed ahead depends on the text.
"""

import random
from collections.abc import Iterator, Mapping

from benchmarks.bench import Bench
from benchmarks.conductor import Measure, Question
from benchmarks.contenders.child import Child
from benchmarks.contenders.engine_process import EngineInProcess, OgEngine, OgGenerator
from benchmarks.contenders.fleet import LONE
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import decode_rate
from benchmarks.questions.chat import streams, streams_of
from benchmarks.results.document import Metric
from obeaver.config import Settings

ENGINE, PLAIN, GENERATOR, OG_ENGINE = "engine in process", "engine, no lookahead", "og.Generator", "og.Engine"
_PROMPT_WORDS, _PROMPT_TOKENS, _NUM_TOKENS = 24, 64, 96
_source = random.Random(0)


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of the group."""
    for count in (1, 8):
        yield _over_http(bench, count)
    yield _decode(bench, 1, (ENGINE, PLAIN, GENERATOR, OG_ENGINE))
    yield _decode(bench, 8, (ENGINE, OG_ENGINE))
    yield _prefill(bench)


def _over_http(bench: Bench, count: int) -> Question:
    metric = Metric(f"http-{count}.rate", f"decode, {streams_of(count)}, HTTP beside in process", "tok/s")

    async def ask(server: Server) -> Mapping[str, float]:
        return {metric.id: decode_rate(await streams(server, count, _PROMPT_WORDS, _NUM_TOKENS))}

    (plain,) = bench.fleet.variants(LONE)
    over_http = bench.ask(f"http-{count}", "in-process", [metric], ask, contenders=[plain])
    measures = {**over_http.measures, PLAIN: _decoding(bench, PLAIN, metric.id, count)}
    return Question(f"http-{count}", "in-process", [metric], measures, plain)


def _decode(bench: Bench, count: int, contenders: tuple[str, ...]) -> Question:
    metric = Metric(f"in-process-decode-{count}.rate", f"decode in process, {streams_of(count)}", "tok/s")
    measures = {name: _decoding(bench, name, metric.id, count) for name in contenders}
    return Question(f"in-process-decode-{count}", "in-process", [metric], measures, ENGINE)


def _prefill(bench: Bench) -> Question:
    metric = Metric("in-process-prefill.rate", "prefill in process, 512 tokens", "tok/s")

    def prefilling(name: str) -> Measure:
        return lambda: {metric.id: float(_child(bench, name).call("prefill", _prompt(512)))}

    measures = {name: prefilling(name) for name in (ENGINE, GENERATOR)}
    return Question("in-process-prefill", "in-process", [metric], measures, ENGINE)


def _decoding(bench: Bench, name: str, metric_id: str, count: int) -> Measure:
    def measure() -> Mapping[str, float]:
        prompts = [_prompt(_PROMPT_TOKENS) for _ in range(count)]
        return {metric_id: float(_child(bench, name).call("decode", prompts, _NUM_TOKENS))}

    return measure


def _child(bench: Bench, name: str) -> Child:
    threads = bench.options.threads
    if name in (ENGINE, PLAIN):
        settings = Settings(threads=threads) if name == ENGINE else Settings(threads=threads, lookahead=0)
        return bench.child(name, EngineInProcess, bench.folder, settings)
    return bench.child(name, {GENERATOR: OgGenerator, OG_ENGINE: OgEngine}[name], bench.folder, threads)


def _prompt(num_tokens: int) -> list[int]:
    """Random ids, above those that tokenizers keep for markers and single bytes."""
    return [_source.randrange(1000, 30000) for _ in range(num_tokens)]
