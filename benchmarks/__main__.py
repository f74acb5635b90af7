"""Measure obeaver and its peers on this machine."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import check, dialects, page, watchers
from benchmarks.options import add_run_arguments, run_options
from benchmarks.results.compare import FLOOR, Verdict, compare, print_changes
from benchmarks.results.document import NotResults, read_results
from obeaver.errors import ObeaverError


def main(words: Sequence[str] | None = None) -> int:
    """Run, compare or check; the exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        if words[:1] == ["compare"]:
            return _compare(words[1:])
        if words[:1] == ["check"]:
            return check.main(words[1:])
        if words[:1] == ["watchers"]:
            return watchers.main(words[1:])
        if words[:1] == ["page"]:
            return page.main(words[1:])
        if words[:1] == ["import"]:
            from benchmarks.imports import cost  # loads numpy and the product: not for --help

            return cost.main(words[1:])
        if words[:1] == ["dialects"]:
            return dialects.main(words[1:])
        return _run(words)
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
        usage="python -m benchmarks [compare | check | dialects | watchers | page | import] [OPTION …]",
    )
    add_run_arguments(parser)
    arguments = parser.parse_args(words)
    # What follows loads numpy and the product: not for --help.
    from benchmarks.suite import run, show_questions

    options = run_options(arguments)
    return show_questions(options) if arguments.list else run(options)


def _compare(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks compare",
        description="Say what moved between two runs, beyond the noise.",
        epilog="example: python -m benchmarks compare before.json after.json --fail-on-worse",
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


if __name__ == "__main__":
    sys.exit(main())
