"""Send every kind of answer back to real chat templates: `python tests/survey_templates.py FOLDER... [--write]`.

The folders hold `*.jinja` files, which are other people's work and no part of this repository. The table goes to the
terminal, or with `--write` into docs/chat-templates.md.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.round_trip import RoundTrip, foreign_call, result, user

from obeaver.errors import ModelError
from obeaver.text.needs.need import Need

DOCS = Path(__file__).parent.parent / "docs" / "chat-templates.md"
BEGIN, END = "<!-- survey:begin -->\n", "<!-- survey:end -->\n"


def templates(folders: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Name and source of each, those that differ in white space only once."""
    seen: set[str] = set()
    files = [path for folder in folders for path in sorted(folder.glob("*.jinja"))]
    for path in sorted(files, key=lambda path: path.stem.lower()):
        source = path.read_text(encoding="utf-8")
        if (text := "".join(source.split())) not in seen:
            seen.add(text)
            yield path.stem, source


def left_out(trip: RoundTrip) -> list[str]:
    """What the template leaves out of a conversation whatever it is told."""
    words = []
    call = {"role": "assistant", "content": "besideword", "tool_calls": [foreign_call("call_1", "Paris")]}
    history = [user("x"), call, result("call_1", "y")]
    if not trip.shows(history, "besideword"):
        words.append("words beside a call")
    if trip.think and not trip.shows([user("x"), {**call, "reasoning": "thoughtword"}, history[2]], "thoughtword"):
        words.append("reasoning")
    return words


def row(name: str, source: str) -> tuple[str, bool]:
    """A template's row, and whether all came through."""
    try:
        trip = RoundTrip(source).run()
    except ModelError as error:
        return f"| {name} | | | {error} |", False
    needs = ", ".join(need.name for need in Need if need in trip.needs)
    outcome = "whole" if not trip.faults else trip.faults[0]
    return f"| {name} | {needs} | {', '.join(left_out(trip))} | {outcome} |", not trip.faults


def main() -> int:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="renew the table in docs/chat-templates.md")
    arguments = parser.parse_args()
    rows = [row(name, source) for name, source in templates(arguments.folder)]
    num_whole = sum(whole for _, whole in rows)
    lines = [
        f"{num_whole} of {len(rows)} templates tell every answer whole.",
        "",
        "| template | needs | leaves out | comes back |",
        "| --- | --- | --- | --- |",
        *(line for line, _ in rows),
    ]
    table = "\n".join(lines) + "\n"
    if not arguments.write:
        sys.stdout.write(table)
        return 0
    front, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
    DOCS.write_text(front + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
