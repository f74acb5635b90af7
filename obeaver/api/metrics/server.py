"""What `/metrics` counts of a whole server: one registry for each application, and no global one.

Names that begin with `vllm:` or `http_` are those that vLLM's own dashboards read, where the meaning is the same;
`docs/metrics.md` has a line for each.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from obeaver.web.request_log import LoggedRequest

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)

_DURATIONS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_LAGS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""A client may make up others, and each would be a new time series."""


class Gauges(Protocol):
    """Whatever is looked at only when somebody asks."""

    def gauges(self) -> Iterable[Metric]:
        """How things stand now."""


class ServerMetrics:
    """Counters and histograms of an application. They live as long as it does, whatever models come and go.

    Attributes:
        registry: Where further ones can be put.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "http_requests",
            "Requests that were answered, by route, method, class of status and status.",
            ["handler", "method", "status", "code"],
            registry=registry,
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the last byte of its answer.",
            ["handler", "method"],
            buckets=_DURATIONS_S,
            registry=registry,
        )
        self._errors = Counter(
            "obeaver_errors",
            "Errors that clients were told, by their code: refusals, and answers that broke.",
            ["code"],
            registry=registry,
        )
        self._lag = Histogram(
            "obeaver_event_loop_lag_seconds",
            "How late the event loop comes to what is due; measured ten times a second.",
            buckets=_LAGS_S,
            registry=registry,
        )

    def on_request(self, request: LoggedRequest) -> None:
        """A request is over."""
        handler = request.route or "none"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(handler, method, f"{request.status // 100}xx", str(request.status)).inc()
        self._durations.labels(handler, method).observe(request.duration_s)
        if request.error is not None:
            self._errors.labels(request.error).inc()

    def on_refusal(self, code: str) -> None:
        """A connection was refused or cut off before it was a request, or after its answer had begun."""
        self._errors.labels(code).inc()

    def on_lag(self, seconds: float) -> None:
        """The event loop came so late."""
        self._lag.observe(seconds)

    def exposition(self, gauges: Gauges) -> bytes:
        """What a scraper reads.

        Not as OpenMetrics, which newer scrapers would rather have: the library writes the colons of vLLM's names as
        underscores there, and so half of each name.

        Args:
            gauges: Beside what was counted.
        """
        return generate_latest(_Everything(self.registry, gauges))


class _Everything:
    """What the library's encoders take for a registry."""

    def __init__(self, registry: CollectorRegistry, gauges: Gauges) -> None:
        self._registry = registry
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            # When each series was created: as many lines again, which nobody reads.
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
        yield from self._gauges.gauges()


def gauge(name: str, text: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    """A gauge with a value for each model."""
    return _by_model(GaugeMetricFamily(name, text, labels=["model_name"]), values)


def counter(name: str, text: str, values: Iterable[tuple[str, float]]) -> CounterMetricFamily:
    """A counter, that somebody else counts, with a value for each model."""
    return _by_model(CounterMetricFamily(name, text, labels=["model_name"]), values)


def _by_model(family: _Family, values: Iterable[tuple[str, float]]) -> _Family:
    for model, value in values:
        family.add_metric([model], float(value))
    return family


def info(version: str, model: str, provider: str) -> GaugeMetricFamily:
    """`obeaver_info`."""
    text = "Version, default model and its execution provider."
    family = GaugeMetricFamily("obeaver_info", text, labels=["version", "model", "provider"])
    family.add_metric([version, model, provider], 1)
    return family
