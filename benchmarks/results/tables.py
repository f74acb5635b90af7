"""The tables that results make, for terminal and page alike: cells of text, nothing printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.results.document import Results, Row

_SUMMARY = (
    ("Speed", (
        ("load, s", "load.seconds"),
        *((f"decode {count}, tok/s", f"decode-{count}.rate") for count in (1, 4, 8, 16)),
        *((f"prefill {count}, tok/s", f"prefill-{count}.rate") for count in (1, 4, 8, 16)),
    )),
    ("Latency, memory, fidelity", (
        ("first token, ms", "decode-1.first"),
        ("gap p50, ms", "decode-1.gap_p50"),
        ("p95", "decode-1.gap_p95"),
        ("p99", "decode-1.gap_p99"),
        ("gap p50 of 8 streams", "decode-8.gap_p50"),
        ("p95", "decode-8.gap_p95"),
        ("p99", "decode-8.gap_p99"),
        ("memory, MB", "memory.serving"),
        ("memory, MB", "resident.mb"),
        ("mean KL", "fidelity.mean_kl"),
        ("perplexity", "fidelity.perplexity"),
    )),
)  # fmt: skip
"""A line for each contender: columns and the metrics that they show."""


@dataclass(frozen=True, slots=True)
class Table:
    """A heading and cells; the first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]


def summary_tables(results: Results) -> list[Table]:
    """One line for each contender that serves chat."""
    tables = []
    for title, columns in _SUMMARY:
        rows = [(head, row) for head, metric_id in columns if (row := results.row(metric_id))]
        names = list(dict.fromkeys(name for _, row in rows for name in row.contenders))
        lines = [[name, *(figure(row, name) for _, row in rows)] for name in names]
        if lines:
            tables.append(Table(title, ["", *(head for head, _ in rows)], lines))
    return tables


def group_tables(results: Results) -> Iterator[Table]:
    """One line for each metric: every contender's figure, and (×) how many times better ours is than each other."""
    for group in dict.fromkeys(row.group for row in results.rows):
        rows = [row for row in results.rows if row.group == group]
        names = list(dict.fromkeys(name for row in rows for name in row.contenders))
        rivals = [name for name in names if any(name != row.ours for row in rows)]
        head = ["", *names, *(f"× {name}" for name in rivals)]
        lines = [
            [_title(row), *(figure(row, name) for name in names), *(_times(row, name) for name in rivals)]
            for row in rows
        ]
        yield Table(group, head, lines)


def failure_lines(results: Results) -> list[str]:
    """What was not measured, each reason once."""
    questions: dict[tuple[str, str], list[str]] = {}
    for failure in results.failures:
        questions.setdefault((failure.contender, failure.reason), []).append(failure.question)
    return [f"{name}: {reason} ({', '.join(asked)})" for (name, reason), asked in questions.items()]


def figure(row: Row, name: str) -> str:
    """Median and spread; a dash where there is none."""
    values = row.values(name)
    if not values:
        return "–"
    shown = f"{row.median(name):,.0f}" if abs(row.median(name)) >= 1000 else f"{row.median(name):.3g}"
    return shown if row.exact or len(values) < 2 else f"{shown} ±{100 * row.spread(name):.0f}%"


def _title(row: Row) -> str:
    return f"{row.metric.title}, {row.metric.unit}" if row.metric.unit else row.metric.title


def _times(row: Row, name: str) -> str:
    times = None if row.exact or name == row.ours else row.advantage(name)
    return "" if times is None else f"{times:.2f}"
