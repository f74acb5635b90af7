"""Results as pictures (SVG)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results.document import Results, Row

_STREAMS = (1, 4, 8, 16)


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Throughput over streams, and latencies; their files. A picture without figures is not made.

    Args:
        results: What to show.
        folder: Where to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    # Without these a file would differ each time it is made.
    matplotlib.rcParams.update({"svg.hashsalt": "obeaver", "svg.fonttype": "none"})
    written = []
    for name, draw in (("throughput", _throughput), ("latency", _latency)):
        figure = draw(results)
        if figure is not None:
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
            written.append(path)
    return written


def _throughput(results: Results) -> Any:
    """Tokens a second over streams: a line for each contender, with the range of its rounds."""
    kinds = [(kind, _rows(results, [f"{kind}-{count}.rate" for count in _STREAMS])) for kind in ("decode", "prefill")]
    kinds = [(kind, rows) for kind, rows in kinds if rows]
    if not kinds:
        return None
    figure, axes = _panels(len(kinds))
    colours = _colours([row for _, rows in kinds for _, row in rows])
    for axis, (kind, rows) in zip(axes, kinds, strict=True):
        for name in dict.fromkeys(name for _, row in rows for name in row.contenders):
            points = [(count, row.values(name)) for count, row in rows if row.values(name)]
            middles = [row.median(name) for _, row in rows if row.values(name)]
            low = [middle - min(values) for middle, (_, values) in zip(middles, points, strict=True)]
            high = [max(values) - middle for middle, (_, values) in zip(middles, points, strict=True)]
            style = {"color": colours[name], "marker": "o", "capsize": 2, "label": name}
            axis.errorbar([count for count, _ in points], middles, yerr=[low, high], **style)
        axis.set(title=f"{kind}, all streams together", xlabel="streams", ylabel="tokens/s", ylim=(0, None))
        axis.set_xticks([count for count, _ in rows])
        axis.legend(fontsize=7)
    return figure


def _latency(results: Results) -> Any:
    """Percentiles of what people wait for: grouped bars."""
    kinds = [
        ("between tokens, 1 stream", [f"decode-1.gap_p{share}" for share in (50, 95, 99)]),
        ("between tokens, 8 streams", [f"decode-8.gap_p{share}" for share in (50, 95, 99)]),
        ("first token, open loop", [f"open-loop.first_p{share}" for share in (50, 95, 99)]),
    ]
    panels = [(title, rows) for title, ids in kinds if (rows := _rows(results, ids))]
    if not panels:
        return None
    figure, axes = _panels(len(panels))
    colours = _colours([row for _, rows in panels for _, row in rows])
    for axis, (title, rows) in zip(axes, panels, strict=True):
        names = list(dict.fromkeys(name for _, row in rows for name in row.contenders))
        width = 0.8 / len(names)
        for index, name in enumerate(names):
            places = [number + index * width for number, (_, row) in enumerate(rows) if row.values(name)]
            heights = [row.median(name) for _, row in rows if row.values(name)]
            axis.bar(places, heights, width, color=colours[name], label=name)
        axis.set(title=title, ylabel="ms")
        axis.set_xticks([number + 0.4 - width / 2 for number in range(len(rows))], ["p50", "p95", "p99"][: len(rows)])
        axis.legend(fontsize=7)
    return figure


def _rows(results: Results, metric_ids: Sequence[str]) -> list[tuple[int, Row]]:
    """Rows that are there, with the number that their place stands for."""
    numbers = _STREAMS if len(metric_ids) == len(_STREAMS) else (50, 95, 99)
    pairs = zip(numbers, metric_ids, strict=True)
    return [(number, row) for number, metric_id in pairs if (row := results.row(metric_id))]


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    """Each contender's, the same in all panels."""
    names = dict.fromkeys(name for row in rows for name in row.contenders)
    return {name: f"C{number}" for number, name in enumerate(names)}


def _panels(count: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * count, 3.8), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])
