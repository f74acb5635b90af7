"""How fast does obeaver answer over HTTP, beside llama-server on the same GGUF, measured by the same client?

    python -m benchmarks.serve                        # the default model; llama-server too if it is on the PATH
    python -m benchmarks.serve --gguf other.gguf      # a further llama-server contender, on its own file
    python -m benchmarks.serve --rounds 5 --only "decode, 8 streams"

Contenders take turns, question by question and round by round, on an otherwise idle server; only one server runs its
question at a time. Ratios are medians of the rounds' own ratios. Prompts are new each time, so no cache helps, except
where the question is about the cache. Sampling is greedy and end-of-text is ignored, so every answer is full length.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from benchmarks import environment, prompts, report, servers
from benchmarks.http_load import StreamTrace, decode_rate, stream_chat
from obeaver.config import load_settings
from obeaver.models.progress import TerminalProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store

OURS = "obeaver"
SLOTS, CONTEXT = 16, 4608
Measure = Callable[[str], Coroutine[Any, Any, float]]
_seeds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Question:
    """One row: what is asked, and how it is measured on one server."""

    title: str
    unit: str
    higher_is_better: bool
    measure: Measure


async def _streams(url: str, count: int, num_words: int, num_tokens: int) -> list[StreamTrace]:
    calls = [
        stream_chat(url, prompts.fresh_messages(num_words, next(_seeds)), max_tokens=num_tokens) for _ in range(count)
    ]
    return list(await asyncio.gather(*calls))


def _decode(count: int, num_tokens: int) -> Measure:
    async def measure(url: str) -> float:
        return decode_rate(await _streams(url, count, 24, num_tokens))

    return measure


def _prefill(num_words: int) -> Measure:
    async def measure(url: str) -> float:
        (trace,) = await _streams(url, 1, num_words, 2)
        return trace.num_prompt_tokens / trace.first_token_s

    return measure


def _decode_at(num_words: int) -> Measure:
    async def measure(url: str) -> float:
        return decode_rate(await _streams(url, 1, num_words, 96))

    return measure


async def _second_turn(url: str) -> float:
    history = prompts.fresh_messages(1440, next(_seeds))
    cold = await stream_chat(url, history, max_tokens=24)
    turn = await stream_chat(url, prompts.next_turn(history, cold.text, "And what comes next?"), max_tokens=2)
    return turn.first_token_s / cold.first_token_s


async def _newcomer(url: str) -> float:
    (alone,) = await _streams(url, 1, 34, 2)
    others = [asyncio.create_task(_one(url, 24, 160)) for _ in range(7)]
    await asyncio.sleep(1.5)
    (among,) = await _streams(url, 1, 34, 2)
    await asyncio.gather(*others)
    return among.first_token_s / alone.first_token_s


async def _stall(url: str) -> float:
    runner = asyncio.create_task(_one(url, 24, 400))
    await asyncio.sleep(1.0)
    await _streams(url, 1, 1950, 2)
    trace = await runner
    return max(trace.gaps) / statistics.median(trace.gaps)


async def _one(url: str, num_words: int, num_tokens: int) -> StreamTrace:
    (trace,) = await _streams(url, 1, num_words, num_tokens)
    return trace


QUESTIONS = (
    Question("decode, 1 stream", "tok/s", True, _decode(1, 128)),
    Question("decode, 8 streams", "tok/s", True, _decode(8, 128)),
    Question("decode, 16 streams", "tok/s", True, _decode(16, 128)),
    Question("prefill, 512 tokens", "tok/s", True, _prefill(482)),
    Question("decode at context 1,024", "tok/s", True, _decode_at(980)),
    Question("decode at context 4,096", "tok/s", True, _decode_at(3960)),
    Question("first token of turn 2 against cold", "x", False, _second_turn),
    Question("first token of a newcomer among 7 against alone", "x", False, _newcomer),
    Question("longest gap while 2,000 tokens are admitted, against the usual", "x", False, _stall),
)


def main() -> int:
    """Measure, print, write JSON and a plot."""
    arguments = _parse()
    settings = load_settings({}, os.environ)
    store = Store(settings.home)
    stored = ensure_model(arguments.model, store, progress=TerminalProgress())
    gguf = store.sources.find(stored.recipe.source_sha256) if stored.recipe else None
    asked = [question for question in QUESTIONS if not arguments.only or question.title in arguments.only]
    out = Path(arguments.out)
    facts = environment.describe(*(path for path in (gguf, *arguments.gguf) if path is not None))
    rows: list[report.Row] = []
    memory: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        contenders = list(_start(stack, arguments, stored.folder, gguf))
        for row in _measure(asked, contenders, arguments.rounds):
            rows.append(row)
            # Written as it grows: a run that is interrupted has not measured in vain.
            memory = {server.name: round(server.resident_mb()) for server in contenders}
            report.write_json(out / "serve.json", __doc__.splitlines()[0], facts | {"resident_mb": memory}, rows)
    report.print_table(rows, OURS)
    tqdm.write(f"resident memory afterwards, MB: {memory}")
    report.write_plot(out / "serve.svg", "HTTP streaming, medians", rows)
    tqdm.write(f"written: {out / 'serve.json'}, {out / 'serve.svg'}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    titles = [question.title for question in QUESTIONS]
    parser.add_argument("--model", default="smollm2-135m", help="model that obeaver serves")
    parser.add_argument("--gguf", type=Path, action="append", default=[], help="a further file for llama-server")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each question (default 3)")
    parser.add_argument(
        "--only",
        action="append",
        choices=titles,
        metavar="TITLE",
        help="ask only this; may be repeated: " + "; ".join(titles),
    )
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--out", default="benchmarks/out", help="folder for JSON and plot")
    return parser.parse_args()


def _start(
    stack: contextlib.ExitStack, arguments: argparse.Namespace, folder: Path, gguf: Path | None
) -> Iterator[servers.RunningServer]:
    yield stack.enter_context(servers.obeaver(str(folder), "--threads", str(arguments.threads), name=OURS))
    if not servers.has_llama_server():
        tqdm.write("llama-server is not on the PATH: obeaver is measured alone", file=sys.stderr)
        return
    for path in ([gguf] if gguf else []) + arguments.gguf:
        yield stack.enter_context(
            servers.llama_server(
                path, threads=arguments.threads, slots=SLOTS, context=CONTEXT, name="llama-server " + path.stem[-8:]
            )
        )


def _measure(asked: list[Question], contenders: list[servers.RunningServer], rounds: int) -> Iterator[report.Row]:
    with tqdm(total=len(asked) * len(contenders) * (rounds + 1), unit="run", leave=False) as bar:
        for question in asked:
            row = report.Row(question.title, question.unit, question.higher_is_better)
            for counted in [False] + [True] * rounds:  # the first round warms up
                for server in contenders:
                    bar.set_description(f"{server.name}: {question.title}")
                    value = asyncio.run(question.measure(server.url))
                    bar.update()
                    if counted:
                        row.values.setdefault(server.name, []).append(value)
            yield row


if __name__ == "__main__":
    sys.exit(main())
