"""What do open pages cost the streams that run? Twenty pages of the dashboard against none, in turns.

Each page reads the engine's events and asks for memory and health as often as the dashboard's does. The pages live in a
process of their own on the same machine, so their share is part of the figure. Claim: at most 3 %.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil
from tqdm import tqdm

from benchmarks.contenders.child import Child, child
from benchmarks.contenders.servers import Server, obeaver
from benchmarks.event_loop import loop_s
from benchmarks.load.chat_stream import decode_rate
from benchmarks.load.pages import Pages
from benchmarks.options import add_count, add_model, command_parser
from benchmarks.time_limit import TimeLimit

ALLOWED = 0.03
_IDLE_S = 10.0


def main(words: Sequence[str]) -> int:
    """Measure and print; 1 if the pages cost more than is claimed."""
    parser = command_parser("watchers", __doc__, "--pages 20 --streams 4")
    add_model(parser)
    add_count(parser, "--pages", 20, "how many are open")
    add_count(parser, "--streams", 4, "streams at once")
    add_count(parser, "--tokens", 256, "of each answer")
    add_count(parser, "--rounds", 11, "pairs of measurements")
    arguments = parser.parse_args(words)
    with obeaver(arguments.model) as server, child(Pages) as pages:
        share = _idle_share(server, pages, arguments.pages)
        pairs = _pairs(server, pages, arguments)
    return _told(pairs, share, arguments)


class Figures(NamedTuple):
    """One measurement.

    Attributes:
        tokens_per_s: Of all streams together.
        loop_share: What part of a core the server's event loop took meanwhile.
    """

    tokens_per_s: float
    loop_share: float


def _pairs(server: Server, pages: Child, arguments: argparse.Namespace) -> list[tuple[Figures, Figures]]:
    """Without pages and with them; which of the two comes first changes from round to round."""
    from benchmarks.questions.chat import streams

    def figures(num_pages: int) -> Figures:
        if num_pages:
            pages.call("open", server.url, num_pages)
        before_s, begun_s = loop_s(server), time.monotonic()
        try:
            rate = decode_rate(TimeLimit().run(streams(server, arguments.streams, 24, arguments.tokens)))
            return Figures(rate, (loop_s(server) - before_s) / (time.monotonic() - begun_s))
        finally:
            pages.call("close")

    figures(0)
    pairs = []
    for number in tqdm(range(arguments.rounds), desc="rounds", leave=False):
        order = (0, arguments.pages) if number % 2 else (arguments.pages, 0)
        found = {num_pages: figures(num_pages) for num_pages in order}
        pairs.append((found[0], found[arguments.pages]))
    return pairs


def _idle_share(server: Server, pages: Child, num_pages: int) -> float:
    """What part of one core an idle server spends on the pages."""
    process = psutil.Process(server.pid)

    def spent_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    shares = []
    for count in (0, num_pages):
        if count:
            pages.call("open", server.url, count)
        time.sleep(1.0)  # the first events
        before_s, begun_s = spent_s(), time.monotonic()
        time.sleep(_IDLE_S)
        shares.append((spent_s() - before_s) / (time.monotonic() - begun_s))
        pages.call("close")
    return shares[1] - shares[0]


def _told(pairs: Sequence[tuple[Figures, Figures]], share: float, arguments: argparse.Namespace) -> int:
    alone, watched = (
        [statistics.median(figures) for figures in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
    )
    cost = 1 - statistics.median(with_pages.tokens_per_s / without.tokens_per_s for without, with_pages in pairs)
    print(f"{'':24}{'tokens/s':>12}{'event loop, of a core':>24}")
    for title, (rate, loop_share) in (
        (f"{arguments.streams} streams", alone),
        (f"and {arguments.pages} pages", watched),
    ):
        print(f"{title:24}{rate:>12.1f}{100 * loop_share:>22.1f} %")
    print(f"cost of the pages, median of {len(pairs)} pairs: {100 * cost:.1f} % of the streams' speed")
    print(f"an idle server spends {100 * share:.1f} % of a core on them")
    if cost > ALLOWED:
        print(f"that is more than {100 * ALLOWED:.0f} %", file=sys.stderr)
    return int(cost > ALLOWED)
