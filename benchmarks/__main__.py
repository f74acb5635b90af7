"""Measure obeaver and its peers on this machine."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import check, dialects, page, watchers
from benchmarks.options import add_run_arguments, command_parser, run_options
from benchmarks.results.compare import FLOOR, Verdict, compare, print_changes
from benchmarks.results.document import NotResults, read_results
from obeaver.errors import ObeaverError


def main(words: Sequence[str] | None = None) -> int:
    """Run, compare or check; the exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        command = COMMANDS.get(words[0]) if words else None
        return command(words[1:]) if command else _run(words)
    except (ObeaverError, NotResults) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was measured is written, and --continue goes on", file=sys.stderr)
        return 130


def _run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        usage=f"python -m benchmarks [{' | '.join(COMMANDS)}] [OPTION …]",
    )
    add_run_arguments(parser)
    arguments = parser.parse_args(words)
    # What follows loads numpy and the product: not for --help.
    from benchmarks.suite import run, show_questions

    options = run_options(arguments)
    return show_questions(options) if arguments.list else run(options)


def _compare(words: Sequence[str]) -> int:
    parser = command_parser(
        "compare", "Say what moved between two runs, beyond the noise.", "before.json after.json --fail-on-worse"
    )
    parser.add_argument("before", type=Path, help="results.json of the first run")
    parser.add_argument("after", type=Path, help="results.json of the second run")
    parser.add_argument(
        "--floor", type=float, default=100 * FLOOR, metavar="PERCENT", help="smallest change (default 3)"
    )
    parser.add_argument("--fail-on-worse", action="store_true", help="exit with status 1 if something got worse")
    arguments = parser.parse_args(words)
    changes = compare(read_results(arguments.before), read_results(arguments.after), floor=arguments.floor / 100)
    if not changes:
        raise NotResults("the two runs have no row in common")
    print_changes(changes)
    return int(arguments.fail_on_worse and any(change.verdict is Verdict.WORSE for change in changes))


def _import(words: Sequence[str]) -> int:
    from benchmarks.imports import cost  # loads numpy and the product: not for --help

    return cost.main(words)


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "compare": _compare,
    "check": check.main,
    "dialects": dialects.main,
    "watchers": watchers.main,
    "page": page.main,
    "import": _import,
}
"""From the word behind `python -m benchmarks` to what runs with the words that follow it; without one of them, all is
measured."""


if __name__ == "__main__":
    sys.exit(main())
