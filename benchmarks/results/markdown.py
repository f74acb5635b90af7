"""Results as a page: the machine, the tables, the plots, how to get the same."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.results.document import Results
from benchmarks.results.tables import Table, failure_lines, group_tables, summary_tables


def write_markdown(results: Results, path: Path, plots: Sequence[Path]) -> None:
    """Write the page.

    Args:
        results: What to tell.
        path: Of the page.
        plots: In the same folder.
    """
    path.write_text(page(results, [plot.name for plot in plots]), encoding="utf-8")


def page(results: Results, plots: Sequence[str]) -> str:
    """The page.

    Args:
        results: What to tell.
        plots: Names of the plots' files.
    """
    return "\n".join(_lines(results, plots)) + "\n"


def markdown(table: Table) -> list[str]:
    """The lines of a table."""
    rule = ["---", *("---:" for _ in table.head[1:])]
    return [_line(cells) for cells in (table.head, rule, *table.lines)]


def _lines(results: Results, plots: Sequence[str]) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield "Made by `python -m benchmarks`; `docs/performance.md` says what is measured and how. Figures"
    yield "are medians; ± is the largest distance from the median; × is how many times better the first contender with"
    yield "a figure is: the median of the rounds' own ratios."
    yield ""
    yield from _machine(results)
    for plot in plots:
        yield f"![{Path(plot).stem}]({plot})"
        yield ""
    yield "## Each provider, runner and peer"
    yield ""
    for table in summary_tables(results):
        yield from (f"### {table.title}", "", *markdown(table), "")
    yield "## Each question"
    yield ""
    for table in group_tables(results):
        yield from (f"### {table.title}", "", *markdown(table), "")
    if results.failures:
        yield from ("## Not measured", "")
        yield from (f"- {line}" for line in failure_lines(results))


def _machine(results: Results) -> Iterator[str]:
    about, settings = results.environment, results.settings
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items() if version)
    yield f"- Machine: {about['processor']}, {about['cores']} cores, {about['memory_gb']:g} GB; {about['system']}"
    yield f"- Software: Python {about['python']}, {packages}; commit {about['commit']}"
    yield f"- Run: {results.started}, {results.seconds / 60:.0f} minutes; {settings['rounds']} rounds"
    yield f"- Everybody computes with {settings['threads']} threads"
    for name, digest in about["models"].items():
        yield f"- `{name}`: SHA-256 `{digest}`"
    for name, facts in results.contenders.items():
        what = facts.get("engine") or ", ".join(str(facts[key]) for key in ("version", "url") if facts.get(key))
        yield f"- {name}: {what}" if what else f"- {name}"
    yield ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
