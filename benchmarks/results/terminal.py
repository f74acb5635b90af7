"""Results in the terminal."""

import textwrap
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks.results.document import Results
from benchmarks.results.tables import Table, failure_lines, group_tables, summary_tables

_NARROWEST = 9


def print_results(results: Results) -> None:
    """A line for each contender, then one for each metric, then what could not be measured."""
    for table in (*summary_tables(results), *group_tables(results)):
        tqdm.write("\n".join(rendered(table)))
    for line in failure_lines(results):
        tqdm.write(f"not measured on {line}")


def rendered(table: Table) -> list[str]:
    """The lines of a table; long headings take several."""
    columns = list(zip(table.head, *table.lines, strict=True))
    widths = [max(map(len, (*cells[1:], *cells[0].split(), " " * _NARROWEST))) for cells in columns]
    heads = [textwrap.wrap(cells[0], width) for width, cells in zip(widths, columns, strict=True)]
    height = max(len(lines) for lines in heads)
    heads = [[""] * (height - len(lines)) + lines for lines in heads]
    top = [_line([lines[number] for lines in heads], widths) for number in range(height)]
    return [
        "",
        table.title,
        *top,
        _line(["-" * width for width in widths], widths),
        *(_line(cells, widths) for cells in table.lines),
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"{first[0]:{first[1]}}  " + "  ".join(f"{cell:>{width}}" for cell, width in others)
