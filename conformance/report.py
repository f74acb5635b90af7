"""The report: for each dialect a matrix of features and clients, in the terminal, as JSON and as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.results import FAIL, GAP, NOT_OFFERED, PASS, SKIPPED, Result

BEGIN, END = "<!-- features:begin -->", "<!-- features:end -->"


def as_object(results: Sequence[Result], about: Mapping[str, Any]) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "about": dict(about),
        "matrices": {
            dialect: {feature: {c: _cell(mine, feature, c) for c in _clients(mine)} for feature in _features(mine)}
            for dialect, mine in _by_dialect(results)
        },
        "results": [
            {
                "dialect": r.dialect,
                "feature": r.feature,
                "case": r.case,
                "client": r.client,
                "outcome": r.outcome,
                "details": list(r.details),
            }
            for r in results
        ],
    }


def as_markdown(results: Sequence[Result], about: Mapping[str, Any]) -> str:
    """The report as a page."""
    lines = ["# Conformance report", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    lines += ["A cell counts the cases that passed of those that were made.", "", BEGIN, *_tables(results), END, ""]
    for outcome, title in ((FAIL, "Failures"), (GAP, "Known gaps"), (NOT_OFFERED, "Not offered"), (SKIPPED, "Skipped")):
        lines += _section(title, [item for item in results if item.outcome == outcome])
    lines += ["## Cases", ""]
    for dialect, mine in _by_dialect(results):
        lines += [f"### {dialect}", ""]
        for feature in _features(mine):
            names = dict.fromkeys(item.case for item in mine if item.feature == feature)
            lines += [f"- **{feature}**", *(f"  - {name}" for name in names)]
        lines.append("")
    lines.pop()
    return "\n".join(lines) + "\n"


def as_text(results: Sequence[Result]) -> str:
    """The matrices and whatever did not pass, for a terminal."""
    lines: list[str] = []
    for dialect, mine in _by_dialect(results):
        rows = _rows(dialect, mine)
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        told = [zip(row, widths, strict=True) for row in rows]
        lines += ["", *("  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in told)]
    for item in results:
        if item.outcome in {FAIL, GAP}:
            lines += [
                "",
                f"{item.outcome.upper()}  {item.case}  [{item.client}]",
                *(f"      {d}" for d in item.details),
            ]
    for outcome in (NOT_OFFERED, SKIPPED):
        groups = dict.fromkeys((r.dialect, r.feature, r.client, r.details) for r in results if r.outcome == outcome)
        lines += [
            f"{outcome}: {d}: {feature} [{client}]: {'; '.join(details)}" for d, feature, client, details in groups
        ]
    return "\n".join([*lines[1:], "", summary(results)])


def summary(results: Sequence[Result]) -> str:
    """One line."""
    counts = {name: sum(item.outcome == name for item in results) for name in (PASS, FAIL, GAP, NOT_OFFERED, SKIPPED)}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name in {PASS, FAIL})


def feature_table(path: Path) -> str:
    """The matrices out of a page that `as_markdown` has made."""
    return path.read_text(encoding="utf-8").partition(BEGIN + "\n")[2].partition("\n" + END)[0]


def _tables(results: Sequence[Result]) -> list[str]:
    lines: list[str] = []
    for dialect, mine in _by_dialect(results):
        rows = _rows(dialect, mine)
        lines += ["", f"| {' | '.join(rows[0])} |", "| --- |" + " --- |" * (len(rows[0]) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in rows[1:]]
    return lines[1:]


def _rows(dialect: str, results: Sequence[Result]) -> list[list[str]]:
    """The table of one dialect: its clients, then a row for each feature."""
    clients = _clients(results)
    cells = [[feature, *(_cell(results, feature, client) for client in clients)] for feature in _features(results)]
    return [[dialect, *clients], *cells]


def _by_dialect(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    names = dict.fromkeys(item.dialect for item in results)
    return [(name, [item for item in results if item.dialect == name]) for name in names]


def _cell(results: Sequence[Result], feature: str, client: str) -> str:
    mine = [item.outcome for item in results if (item.feature, item.client) == (feature, client)]
    if not mine:
        return ""
    made = [outcome for outcome in mine if outcome in {PASS, FAIL, GAP}]
    if not made:
        return mine[0]
    notes = [f"{made.count(name)} {name}" for name in (FAIL, GAP) if name in made]
    return f"{made.count(PASS)}/{len(made)}" + (f" ({', '.join(notes)})" if notes else "")


def _section(title: str, items: Sequence[Result]) -> list[str]:
    if not items:
        return []
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for item in items:
        groups.setdefault((item.case, item.details), []).append(item.client)
    lines = [f"- {case} ({', '.join(clients)}): {'; '.join(details)}" for (case, details), clients in groups.items()]
    return [f"## {title}", "", *lines, ""]


def _features(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(item.feature for item in results))


def _clients(results: Sequence[Result]) -> list[str]:
    return sorted(dict.fromkeys(item.client for item in results), key=lambda name: (name.startswith("live"), name))
