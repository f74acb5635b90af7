"""What does a protocol cost? The same streams in each dialect that obeaver speaks, in turns, against chat completions.

In a round every dialect streams the answers to the same prompts, one right after the other; which comes first changes
from round to round. Claim: each keeps at least 0.95 of the tokens a second of chat completions.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tqdm import tqdm

from benchmarks.contenders.servers import Server, obeaver
from benchmarks.event_loop import loop_s
from benchmarks.load.chat_stream import StreamTrace, decode_rate, stream_words
from benchmarks.load.dialects import DIALECTS, Dialect
from benchmarks.load.prompts import fresh_messages
from benchmarks.options import add_count, add_model, command_parser
from benchmarks.time_limit import TimeLimit

LEAST = 0.95
_PROMPT_WORDS = 24


class Figures(NamedTuple):
    """One measurement.

    Attributes:
        tokens_per_s: Of all streams together.
        loop_us: Microseconds of a core that the server's event loop took for each token.
    """

    tokens_per_s: float
    loop_us: float


Round = Mapping[str, Figures]
"""Name of a dialect to what was measured."""


def main(words: Sequence[str]) -> int:
    """Measure and print; 1 if a dialect is slower than is claimed."""
    parser = command_parser("dialects", __doc__, "--rounds 11")
    add_model(parser)
    add_count(parser, "--streams", 8, "streams at once")
    add_count(parser, "--tokens", 192, "of each answer at most")
    add_count(parser, "--rounds", 11, "how often each dialect is measured")
    arguments = parser.parse_args(words)
    with obeaver(arguments.model) as server:
        measured = _rounds(server, arguments)
    return told(measured)


def _rounds(server: Server, arguments: argparse.Namespace) -> Sequence[Round]:
    rounds = []
    for number in tqdm(range(-1, arguments.rounds), desc="rounds", leave=False):
        place = number % len(DIALECTS)
        order = (*DIALECTS[place:], *DIALECTS[:place])
        rounds.append({dialect.name: _figures(server, dialect, number, arguments) for dialect in order})
    return rounds[1:]  # the first one has warmed the server up


def _figures(server: Server, dialect: Dialect, number: int, arguments: argparse.Namespace) -> Figures:
    before_s = loop_s(server)
    traces = TimeLimit().run(_streams(server, dialect, number, arguments))
    spent_us = 1e6 * (loop_s(server) - before_s)
    return Figures(decode_rate(traces), spent_us / sum(trace.num_tokens for trace in traces))


async def _streams(server: Server, dialect: Dialect, number: int, arguments: argparse.Namespace) -> list[StreamTrace]:
    first = (number + 1) * arguments.streams
    prompts = [fresh_messages(_PROMPT_WORDS, seed) for seed in range(first, first + arguments.streams)]
    bodies = [dialect.body(server.model, prompt, arguments.tokens) for prompt in prompts]
    return list(await asyncio.gather(*(stream_words(dialect.words, server.url, body) for body in bodies)))


def told(rounds: Sequence[Round]) -> int:
    """Print the medians; 1 if one of them is below what is claimed."""
    base = DIALECTS[0].name
    print(f"{'':20}{'tokens/s':>10}{'of chat':>10}{'least':>8}{'most':>8}{'event loop, µs a token':>25}")
    slow = []
    for name in (dialect.name for dialect in DIALECTS):
        ratios = [one[name].tokens_per_s / one[base].tokens_per_s for one in rounds]
        rate = statistics.median(one[name].tokens_per_s for one in rounds)
        # The clock of a thread counts hundredths of a second: a mean says more than a median.
        loop_us = statistics.fmean(one[name].loop_us for one in rounds)
        ratio = statistics.median(ratios)
        print(f"{name:20}{rate:>10.1f}{ratio:>10.3f}{min(ratios):>8.3f}{max(ratios):>8.3f}{loop_us:>25.0f}")
        slow += [name] if ratio < LEAST else []
    print(f"medians of {len(rounds)} rounds; the ratio is the median of the rounds' own")
    if slow:
        print(f"below {LEAST}: {', '.join(slow)}", file=sys.stderr)
    return int(bool(slow))
