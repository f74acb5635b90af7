"""Rows of figures: a table for the terminal, JSON for machines, a plot for people."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm


@dataclass(slots=True)
class Row:
    """One question, measured several times on each contender.

    Attributes:
        question: What was measured.
        unit: Of the values.
        higher_is_better: Decides what the ratio means.
        values: Contender to its measurements, in the order of the rounds.
    """

    question: str
    unit: str
    higher_is_better: bool = True
    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        """Median of a contender's measurements."""
        return statistics.median(self.values[contender])

    def advantage(self, ours: str, theirs: str) -> float:
        """How many times better ours is: median of the rounds' own ratios, so that drift cancels out."""
        ratios = [a / b for a, b in zip(self.values[ours], self.values[theirs], strict=True)]
        ratio = statistics.median(ratios)
        return ratio if self.higher_is_better else 1 / ratio

    def spread(self, contender: str) -> float:
        """Largest distance from the median, as a share of it."""
        middle = self.median(contender)
        return max(abs(value - middle) for value in self.values[contender]) / middle if middle else 0.0


def print_table(rows: Sequence[Row], ours: str) -> None:
    """Medians, spread, and our advantage over each other contender."""
    contenders = list(dict.fromkeys(name for row in rows for name in row.values))
    others = [name for name in contenders if name != ours]
    width = max(len(row.question) for row in rows) + 2
    head = f"{'':{width}}" + "".join(f"{name:>24}" for name in contenders)
    tqdm.write(head + "".join(f"{'x ' + name:>22}" for name in others))
    for row in rows:
        line = f"{row.question:{width}}"
        for name in contenders:
            line += f"{_figure(row, name):>24}"
        for name in others:
            shown = f"{row.advantage(ours, name):.2f}" if name in row.values and ours in row.values else "-"
            line += f"{shown:>22}"
        tqdm.write(line)


def _figure(row: Row, name: str) -> str:
    if name not in row.values:
        return "-"
    return f"{row.median(name):.4g} {row.unit} ±{100 * row.spread(name):.0f}%"


def write_json(path: Path, question: str, environment: dict[str, Any], rows: Sequence[Row]) -> None:
    """Everything measured, value by value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "question": question,
        "environment": environment,
        "rows": [
            {
                "question": row.question,
                "unit": row.unit,
                "higher_is_better": row.higher_is_better,
                "values": row.values,
                "medians": {name: row.median(name) for name in row.values},
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def write_plot(path: Path, title: str, rows: Sequence[Row]) -> None:
    """One small bar chart for each row, medians with their range, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(3.4 * columns, 2.4 * lines), squeeze=False)
    for axis in axes.flat[len(rows) :]:
        axis.set_visible(False)
    for axis, row in zip(axes.flat, rows, strict=False):
        names = list(row.values)
        middles = [row.median(name) for name in names]
        low = [m - min(row.values[n]) for m, n in zip(middles, names, strict=True)]
        high = [max(row.values[n]) - m for m, n in zip(middles, names, strict=True)]
        axis.barh(names, middles, xerr=[low, high], color=[f"C{i}" for i in range(len(names))], capsize=2)
        axis.set_title(f"{row.question} [{row.unit}]", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.invert_yaxis()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
