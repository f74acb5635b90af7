"""Do the figures of these benchmarks agree with those of an independent client: curl and a clock (`stopwatch.sh`)?

Both measure the same server in turns, round by round. Claim: the medians agree within 10 %.
"""

import contextlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.contenders.servers import Server, at_url, obeaver
from benchmarks.load.chat_stream import decode_rate, prefill_rate
from benchmarks.options import add_count, add_model, command_parser
from benchmarks.time_limit import TimeLimit
from obeaver.errors import CommandError

SCRIPT = Path(__file__).with_name("stopwatch.sh")
ALLOWED = 0.10
_LONG_WORDS = 480

Ours = Callable[[Server], Coroutine[Any, Any, float]]


def main(words: Sequence[str]) -> int:
    """Measure and print; 1 if the two do not agree.

    Raises:
        CommandError: curl or bash is missing, or the server does not answer.
    """
    parser = command_parser("check", __doc__, "", "--url http://127.0.0.1:8080")
    parser.add_argument("--url", help="a server that runs already (default: starts one with the default model)")
    add_model(parser, "what to serve otherwise")
    add_count(parser, "--rounds", 5, "measurements of each figure")
    arguments = parser.parse_args(words)
    for program in ("bash", "curl", "awk"):
        if shutil.which(program) is None:
            raise CommandError(f"the check needs {program} on the PATH")
    with contextlib.ExitStack() as stack:
        url = arguments.url
        server = at_url("server", url) if url else stack.enter_context(obeaver(arguments.model))
        return _check(server, arguments.rounds)


def stopwatch(url: str, kind: str, count: int) -> float:
    """A figure of the script's.

    Raises:
        CommandError: The script failed.
    """
    answer = subprocess.run(
        ["bash", str(SCRIPT), url, kind, str(count)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise CommandError(f"{SCRIPT.name} failed: {answer.stderr.strip()[-300:]}")
    return float(answer.stdout)


def _check(server: Server, rounds: int) -> int:
    from benchmarks.questions.chat import streams

    async def decode(target: Server, count: int) -> float:
        return decode_rate(await streams(target, count, 24, 160))

    async def prefill(target: Server) -> float:
        return prefill_rate(await streams(target, 1, _LONG_WORDS, 2))

    figures: list[tuple[str, Ours, tuple[str, int]]] = [
        ("decode, 1 stream", lambda target: decode(target, 1), ("decode", 1)),
        ("decode, 8 streams", lambda target: decode(target, 8), ("decode", 8)),
        ("prefill, 512 tokens", prefill, ("prefill", _LONG_WORDS)),
    ]
    print(f"{'tokens/s':22}{'benchmarks':>14}{'curl':>14}{'difference':>14}")
    failed = 0
    for title, ours, theirs in figures:
        values: list[tuple[float, float]] = []
        for counted in tqdm([False] + [True] * rounds, desc=title, leave=False):
            pair = TimeLimit().run(ours(server)), stopwatch(server.url, *theirs)
            if counted:
                values.append(pair)
        mine, others = (statistics.median(side) for side in zip(*values, strict=True))
        difference = mine / others - 1
        failed += abs(difference) > ALLOWED
        print(f"{title:22}{mine:>14.1f}{others:>14.1f}{100 * difference:>+13.1f}%")
    if failed:
        print(f"{failed} differ by more than {100 * ALLOWED:.0f} %", file=sys.stderr)
    return int(failed > 0)
