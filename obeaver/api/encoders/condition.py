"""How an embedding server and its model stand."""

from collections.abc import Sequence

from obeaver.api.contract import wire
from obeaver.api.encoders.state import EncoderHost, LoadedEncoder
from obeaver.api.system.metrics import Metric


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

    def metrics(self) -> Sequence[Metric]:
        """What is counted of the model."""
        return [] if self._models.model is None else _engine_metrics(self._models.model)


def _engine_metrics(model: LoadedEncoder) -> list[Metric]:
    encoder = model.worker.snapshot()
    totals = encoder.totals
    return [
        Metric("engine_healthy", "gauge", "1 while the engine computes.", {"": encoder.healthy}),
        Metric("requests_open", "gauge", "Requests not answered yet.", {"": encoder.num_requests}),
        Metric("waiting_tokens", "gauge", "Tokens of these requests.", {"": encoder.waiting_tokens}),
        Metric("requests_total", "counter", "Requests answered.", {"": totals.requests}),
        Metric("texts_total", "counter", "Texts computed.", {"": totals.texts}),
        Metric("prompt_tokens_total", "counter", "Tokens of these texts.", {"": totals.tokens}),
        Metric("batches_total", "counter", "Runs of the model.", {"": totals.batches}),
        Metric("texts_failed_total", "counter", "Texts on which the model failed.", {"": totals.failed}),
    ]
