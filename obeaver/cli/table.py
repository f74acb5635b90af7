"""Rows and columns for a terminal."""

import shutil
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

GAP: Final = "  "
MIN_WIDTH: Final = 12
"""A column that can be cut keeps this much; below that it is left out."""


class Column(NamedTuple):
    """One column.

    Attributes:
        title: Its heading.
        right: Numbers stand at its right edge.
        rank: Columns of the highest rank go first where there is no room; those of rank 0 stay.
        can_cut: Its texts may be cut.
    """

    title: str
    right: bool = False
    rank: int = 0
    can_cut: bool = False


def screen_width() -> int | None:
    """Characters in a line of standard output; None where that is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Heading and rows, none of them longer than `width` where that can be helped.

    Args:
        columns: At least one.
        rows: A text for each column.
        width: Characters in a line; None for no limit.
    """
    widths = [
        max(map(len, (column.title, *cells))) for column, cells in zip(columns, _cells(rows, columns), strict=True)
    ]
    chosen = _fitted(columns, widths, width)
    lines = [[column.title for column in columns], *rows]
    return [GAP.join(_aligned(line[i], columns[i], size) for i, size in chosen.items()).rstrip() for line in lines]


def _cells(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[list[str]]:
    return [[row[i] for row in rows] for i in range(len(columns))]


def _fitted(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> dict[int, int]:
    """Which columns are shown, and how wide."""
    chosen = dict(enumerate(widths))
    while width is not None and (excess := _total(chosen) - width) > 0:
        for i in reversed(chosen):
            if columns[i].can_cut and (cut := min(excess, chosen[i] - MIN_WIDTH)) > 0:
                chosen[i] -= cut
                excess -= cut
        last = max(chosen, key=lambda i: columns[i].rank)
        if excess <= 0 or columns[last].rank == 0:
            break
        chosen = {i: widths[i] for i in chosen if i != last}
    return chosen


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _aligned(text: str, column: Column, width: int) -> str:
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.rjust(width) if column.right else text.ljust(width)
