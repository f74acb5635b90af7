"""Prometheus' text format, by hand: a dozen figures need no library.

Source: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One metric with its values.

    Attributes:
        name: Without the prefix.
        kind: `counter` or `gauge`.
        help: One line.
        values: Labels, as they stand between the braces, to the value.
    """

    name: str
    kind: str
    help: str
    values: Mapping[str, float]


def process_metrics(*, version: str, model: str, provider: str, rss_bytes: int) -> list[Metric]:
    """What is counted whatever the server does."""
    info = labels(version=version, model=model, provider=provider)
    return [
        Metric("info", "gauge", "Version, default model and its execution provider.", {info: 1}),
        Metric("process_resident_bytes", "gauge", "Memory of the process in RAM.", {"": rss_bytes}),
    ]


def exposition(metrics: Iterable[Metric]) -> str:
    """The text that a scraper reads."""
    return "".join(map(_metric_text, metrics))


def _metric_text(metric: Metric) -> str:
    name = f"obeaver_{metric.name}"
    lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
    lines += [
        f"{name}{{{labels}}} {int(value)}" if labels else f"{name} {int(value)}"
        for labels, value in metric.values.items()
    ]
    return "\n".join(lines) + "\n"


def labels(**values: str) -> str:
    """Labels as they stand between the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
