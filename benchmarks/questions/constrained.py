"""Group `constrained`: what structured outputs cost. Decode speed under a JSON Schema beside free text on one server.

Both kinds take turns with new prompts each time. The schema asks for a list that is longer than the answer may be. The
mask is timed in process, along a text that follows the schema: one token's way from the grammar's state to a mask and
on to the next state.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.bench import Bench
from benchmarks.conductor import Measure, Question
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import decode_rate, stream_chat
from benchmarks.load.prompts import fresh_messages
from benchmarks.questions.chat import streams_of
from benchmarks.results.document import Metric

CONSTRAINED, FREE = "under a schema", "free text"
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["name", "age", "tags", "born"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {"type": "array", "items": PERSON, "minItems": 200}
EXAMPLE = '{"name": "Ada Lovelace", "age": 36, "tags": ["first", "program notes"], "born": "1815-12-10"}'
FORM = {"type": "json_schema", "json_schema": {"name": "people", "schema": SCHEMA}}
_SAMPLING: Mapping[str, Mapping[str, Any]] = {"greedy": {"temperature": 0}, "sampled": {"temperature": 1.0}}
_NUM_TOKENS = 160


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of the group."""
    for count in (1, 8):
        for how, sampling in _SAMPLING.items():
            yield _decode(bench, count, how, sampling)
    metric = Metric("mask.microseconds", "mask and step of a schema, one token", "µs", higher_is_better=False)
    yield Question("mask", "constrained", [metric], {CONSTRAINED: lambda: {metric.id: _mask(bench)}}, CONSTRAINED)


def _decode(bench: Bench, count: int, how: str, sampling: Mapping[str, Any]) -> Question:
    name = f"schema-{count}-{how}"
    metric = Metric(f"{name}.rate", f"decode under a schema, {streams_of(count)}, {how}", "tok/s")

    def measure(parameters: Mapping[str, Any]) -> Measure:
        return lambda: {metric.id: bench.limit.run(_rate(bench.fleet.server(bench.ours), count, sampling, parameters))}

    measures = {CONSTRAINED: measure({"response_format": FORM}), FREE: measure({})}
    return Question(name, "constrained", [metric], measures, CONSTRAINED)


async def _rate(server: Server, count: int, sampling: Mapping[str, Any], parameters: Mapping[str, Any]) -> float:
    body = {"max_tokens": _NUM_TOKENS, "seed": 1, **sampling, **parameters}
    calls = [stream_chat(server.url, fresh_messages(24), model=server.model, **body) for _ in range(count)]
    return decode_rate(await asyncio.gather(*calls))


def _mask(bench: Bench) -> float:
    from obeaver.app.chat_loader import grammar_vocabulary
    from obeaver.engine.grammar.grammar import GrammarCompiler, grammar_text, json_schema_part
    from obeaver.models.facts import read_facts
    from obeaver.text.tokenizer import Tokenizer

    facts, tokenizer = read_facts(bench.folder), Tokenizer.from_folder(bench.folder)
    compiler = GrammarCompiler(grammar_vocabulary(tokenizer), facts.vocab_size, facts.eos_ids)
    matcher = compiler.compile(grammar_text(json_schema_part(SCHEMA)))
    spent_s: list[float] = []
    for token_id in tokenizer.encode(f"[{', '.join([EXAMPLE] * 8)}"):
        begin = time.perf_counter()
        matcher.allowed()
        matcher.accept(token_id)
        spent_s.append(time.perf_counter() - begin)
    return 1e6 * statistics.fmean(spent_s)
