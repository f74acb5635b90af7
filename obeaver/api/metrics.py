"""Prometheus' text format, by hand: a dozen figures need no library.

Source: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from obeaver.api.state import LoadedModel

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


def metrics_of(model: LoadedModel | None, *, version: str, rss_bytes: int) -> list[Metric]:
    """What is counted; with no model, only the process."""
    name, provider = ("", "") if model is None else (model.name, model.worker.snapshot().placement.provider)
    info = labels(version=version, model=name, provider=provider)
    metrics = [
        Metric("info", "gauge", "Version, model and execution provider.", {info: 1}),
        Metric("process_resident_bytes", "gauge", "Memory of the process in RAM.", {"": rss_bytes}),
    ]
    return metrics if model is None else metrics + _engine_metrics(model)


def _engine_metrics(model: LoadedModel) -> list[Metric]:
    engine = model.worker.snapshot()
    totals = engine.totals
    finished = {labels(reason=reason.value): count for reason, count in totals.finished.items()}
    return [
        Metric("engine_healthy", "gauge", "1 while the engine computes.", {"": engine.healthy}),
        Metric("sequences_running", "gauge", "Sequences that are being computed.", {"": engine.num_running}),
        Metric("sequences_waiting", "gauge", "Sequences that wait for a place.", {"": engine.num_waiting}),
        Metric("sequences_finished_total", "counter", "Sequences that ended, by reason.", finished),
        Metric("prompt_tokens_total", "counter", "Prompt tokens taken in.", {"": totals.prompt_tokens}),
        Metric("cached_tokens_total", "counter", "Prompt tokens not computed again.", {"": totals.cached_tokens}),
        Metric("generated_tokens_total", "counter", "Tokens generated.", {"": totals.generated_tokens}),
        Metric("steps_total", "counter", "Steps of the engine.", {"": totals.steps}),
        Metric("kv_budget_bytes", "gauge", "Most memory for keys and values.", {"": engine.kv_budget_bytes}),
        Metric("kv_used_bytes", "gauge", "Memory of the rows' keys and values.", {"": engine.kv_used_bytes}),
        Metric("prefix_cache_bytes", "gauge", "Memory of the prefix cache.", {"": engine.prefix_cache_bytes}),
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
