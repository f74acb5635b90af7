"""Prometheus' text format, by hand: a dozen figures need no library.

Source: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from obeaver.api.model_host import ModelHost
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


def metrics_of(models: ModelHost, *, version: str, rss_bytes: int) -> list[Metric]:
    """What is counted; of each model that is in memory, and with none, only the process."""
    name, provider = ("", "")
    if models.held:
        name = models.held[0].name
    if models.model is not None:
        provider = models.model.worker.snapshot().placement.provider
    info = labels(version=version, model=name, provider=provider)
    in_memory = {labels(model=held.name): int(held.loaded is not None) for held in models.held}
    metrics = [
        Metric("info", "gauge", "Version, default model and its execution provider.", {info: 1}),
        Metric("process_resident_bytes", "gauge", "Memory of the process in RAM.", {"": rss_bytes}),
        Metric("model_in_memory", "gauge", "1 while the model is in memory.", in_memory),
    ]
    loaded = [held.loaded for held in models.held if held.loaded is not None]
    return [*metrics, *_joined([_engine_metrics(model) for model in loaded])]


def _joined(rows: Sequence[Sequence[Metric]]) -> list[Metric]:
    """The metrics of several models: of each metric one, with all their values."""
    return [
        metrics[0]._replace(values={key: value for metric in metrics for key, value in metric.values.items()})
        for metrics in zip(*rows, strict=True)
    ]


def _engine_metrics(model: LoadedModel) -> list[Metric]:
    engine = model.worker.snapshot()
    totals = engine.totals
    finished = {labels(model=model.name, reason=reason.value): count for reason, count in totals.finished.items()}

    def metric(name: str, kind: str, text: str, value: float) -> Metric:
        return Metric(name, kind, text, {labels(model=model.name): value})

    return [
        metric("engine_healthy", "gauge", "1 while the engine computes.", engine.healthy),
        metric("sequences_running", "gauge", "Sequences that are being computed.", engine.num_running),
        metric("sequences_waiting", "gauge", "Sequences that wait for a place.", engine.num_waiting),
        Metric("sequences_finished_total", "counter", "Sequences that ended, by reason.", finished),
        metric("prompt_tokens_total", "counter", "Prompt tokens taken in.", totals.prompt_tokens),
        metric("cached_tokens_total", "counter", "Prompt tokens not computed again.", totals.cached_tokens),
        metric("generated_tokens_total", "counter", "Tokens generated.", totals.generated_tokens),
        metric("steps_total", "counter", "Steps of the engine.", totals.steps),
        metric("kv_budget_bytes", "gauge", "Most memory for keys and values.", engine.kv_budget_bytes),
        metric("kv_used_bytes", "gauge", "Memory of the rows' keys and values.", engine.kv_used_bytes),
        metric("prefix_cache_bytes", "gauge", "Memory of the prefix cache.", engine.prefix_cache_bytes),
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
