"""What do structured outputs cost? Decode speed beside free text on one server, and the price of a mask.

    python -m benchmarks.constrained                  # the default model
    python -m benchmarks.constrained --rounds 9

Claim: held to a JSON Schema, decoding is at most 10 % slower with 1 stream and 15 % with 8.

Both kinds take turns on the same server, round by round, with new prompts each time; ratios are medians of the rounds'
own ratios. The schema asks for a list that is longer than the answer may be. The mask is timed in process, along a text
that follows the schema: microseconds for one token, from the grammar's state to a mask and on to the next state.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import environment, prompts, report, servers
from benchmarks.http_load import decode_rate, stream_chat
from obeaver.config import load_settings
from obeaver.models.progress import TerminalProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store, StoredModel

CONSTRAINED, FREE = "constrained", "free"
SLOWDOWN_ALLOWED = {1: 0.10, 8: 0.15}
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
SAMPLING: dict[str, dict[str, Any]] = {"greedy": {"temperature": 0}, "sampled": {"temperature": 1.0}}
_seeds = itertools.count(1)


async def _rate(url: str, count: int, num_tokens: int, parameters: dict[str, Any]) -> float:
    calls = [
        stream_chat(url, prompts.fresh_messages(24, next(_seeds)), max_tokens=num_tokens, seed=1, **parameters)
        for _ in range(count)
    ]
    return decode_rate(await asyncio.gather(*calls))


def _measure(url: str, rounds: int, num_tokens: int) -> list[report.Row]:
    form = {"type": "json_schema", "json_schema": {"name": "people", "schema": SCHEMA}}
    kinds: dict[str, dict[str, Any]] = {CONSTRAINED: {"response_format": form}, FREE: {}}
    rows = [
        report.Row(f"decode, {count} stream{'s' * (count > 1)}, {how}", "tok/s")
        for count in SLOWDOWN_ALLOWED
        for how in SAMPLING
    ]
    plan = list(itertools.product(SLOWDOWN_ALLOWED, SAMPLING.values()))
    for _ in tqdm(range(rounds), desc="rounds"):
        for row, (count, sampling) in zip(rows, plan, strict=True):
            for kind, parameters in kinds.items():
                rate = asyncio.run(_rate(url, count, num_tokens, {**sampling, **parameters}))
                row.values.setdefault(kind, []).append(rate)
    return rows


def _mask_row(stored: StoredModel, rounds: int) -> report.Row:
    from obeaver.engine.grammar import GrammarCompiler, grammar_text, json_schema_part
    from obeaver.models.facts import read_facts
    from obeaver.text.tokenizer import Tokenizer

    facts, tokenizer = read_facts(stored.folder), Tokenizer.from_folder(stored.folder)
    compiler = GrammarCompiler(stored.folder / "tokenizer.json", facts.vocab_size, facts.eos_ids)
    ids = tokenizer.encode(f"[{', '.join([EXAMPLE] * 8)}")
    row = report.Row("mask and step, one token", "us", higher_is_better=False)
    for _ in range(rounds):
        matcher = compiler.compile(grammar_text(json_schema_part(SCHEMA)))
        spent_s: list[float] = []
        for token_id in ids:
            begin = time.perf_counter()
            matcher.allowed()
            matcher.accept(token_id)
            spent_s.append(time.perf_counter() - begin)
        row.values.setdefault(CONSTRAINED, []).append(1e6 * statistics.fmean(spent_s))
    return row


def _verdicts(rows: list[report.Row]) -> list[str]:
    counts = [count for count in SLOWDOWN_ALLOWED for _ in SAMPLING]
    return [
        f"{row.question}: {100 * (1 - row.advantage(CONSTRAINED, FREE)):+.1f} % slower"
        f" ({100 * SLOWDOWN_ALLOWED[count]:.0f} % allowed)"
        for row, count in zip(rows, counts, strict=True)
    ]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.constrained", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="smollm2-135m", help="name or path of the model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=160, help="tokens of each answer")
    parser.add_argument("--json", type=Path, help="where to write all values")
    options = parser.parse_args()
    store = Store(load_settings({}, os.environ).home)
    stored = ensure_model(options.model, store, progress=TerminalProgress())
    with servers.obeaver(options.model) as server:
        rows = _measure(server.url, options.rounds, options.tokens)
    verdicts = _verdicts(rows)
    rows.append(_mask_row(stored, options.rounds))
    report.print_table(rows, CONSTRAINED)
    for verdict in verdicts:
        tqdm.write(verdict)
    if options.json:
        report.write_json(options.json, (__doc__ or "").split("\n", 1)[0], environment.describe(), rows)


if __name__ == "__main__":
    main()
