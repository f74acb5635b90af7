"""How an embedding server and its model stand."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Metric

from obeaver import __version__
from obeaver.api.contract import wire
from obeaver.api.encoders.state import EncoderHost
from obeaver.api.metrics.server import gauge, info
from obeaver.engine.encoding.worker import EncoderSnapshot


class EmbedCondition:
    """A `Condition`.

    Args:
        models: Which model answers.
    """

    def __init__(self, models: EncoderHost) -> None:
        self._models = models

    @property
    def status(self) -> str:
        """One word."""
        if self._models.draining:
            return "draining"
        if self._models.restarting:
            return "restarting"
        if self._models.model is None:
            return "loading"
        return "ok" if self._models.model.worker.snapshot().healthy else "unhealthy"

    @property
    def model(self) -> str:
        """The model's name."""
        return "" if self._models.model is None else self._models.model.name

    @property
    def provider(self) -> str:
        """The execution provider that computes."""
        return "" if self._models.model is None else self._models.model.worker.snapshot().placement.provider

    def details(self) -> wire.Object:
        """The model's engine."""
        model = self._models.model
        if model is None:
            return {"model": None, "engine": None}
        encoder = model.worker.snapshot()
        return {
            "model": model.name,
            "engine": encoder.label,
            "provider": encoder.placement.provider,
            "provider_nodes": encoder.placement.nodes,
            "dimensions": model.worker.size,
            "context_length": model.context_length,
            "num_requests": encoder.num_requests,
            "waiting_tokens": encoder.waiting_tokens,
        }

    def active_devices(self) -> frozenset[str]:
        """The devices that compute right now."""
        encoder = None if self._models.model is None else self._models.model.worker.snapshot()
        return frozenset({encoder.placement.device}) if encoder and encoder.num_requests else frozenset[str]()

    def gauges(self) -> Iterable[Metric]:
        """How the model stands."""
        yield info(__version__, self.model, self.provider)
        snapshots = [(model.name, model.worker.snapshot()) for model in self._models.served]
        for name, text, read in _ENCODER_GAUGES:
            yield gauge(name, text, [(model, read(encoder)) for model, encoder in snapshots])


_ENCODER_GAUGES: Final[tuple[tuple[str, str, Callable[[EncoderSnapshot], float]], ...]] = (
    ("obeaver_engine_healthy", "1 while the engine computes.", lambda encoder: encoder.healthy),
    ("obeaver_requests_open", "Requests that are not answered yet.", lambda encoder: encoder.num_requests),
    ("obeaver_waiting_tokens", "Tokens of these requests.", lambda encoder: encoder.waiting_tokens),
)
