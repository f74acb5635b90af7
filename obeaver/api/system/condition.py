"""How a chat server and its models stand."""

from collections.abc import Iterable, Sequence

from obeaver.api.contract import wire
from obeaver.api.models.held_model import HeldModel
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_host import ModelHost
from obeaver.api.system.metrics import Metric, labels
from obeaver.engine.decoding.sequence import FinishReason


class ChatCondition:
    """A `Condition`.

    Args:
        models: Which models answer.
    """

    def __init__(self, models: ModelHost) -> None:
        self._models = models

    @property
    def status(self) -> str:
        """One word. A server that was asked to hold no model is `ok`.

        `loading` is for the start: later, requests wait for a model that is being loaded.
        """
        held = self._models.held
        if self._models.draining:
            return "draining"
        if any(model.status == "unhealthy" for model in held):
            return "unhealthy"
        return "loading" if any(not model.loaded_at for model in held) else "ok"

    @property
    def model(self) -> str:
        """The default model's name."""
        return self._models.held[0].name if self._models.held else ""

    @property
    def provider(self) -> str:
        """The execution provider that computes for it."""
        default = self._models.model
        return "" if default is None else default.worker.snapshot().placement.provider

    def details(self) -> wire.Object:
        """The default model's engine, all models, and the load that is under way."""
        models = self._models
        return {
            "model": self.model or None,
            "engine": None,
            **({} if models.model is None else _engine_details(models.model)),
            "models": [_held_details(held) for held in models.held],
            "load": None if models.last_load is None else models.last_load.as_object(),
            "leaving": [held.name for held in models.leaving],
        }

    def active_devices(self) -> frozenset[str]:
        """The devices that compute right now."""
        return active_devices(self._models.in_memory)

    def metrics(self) -> Sequence[Metric]:
        """What is counted of each model that is in memory."""
        in_memory = {labels(model=held.name): int(held.loaded is not None) for held in self._models.held}
        loaded = [held.loaded for held in self._models.held if held.loaded is not None]
        return [
            Metric("model_in_memory", "gauge", "1 while the model is in memory.", in_memory),
            *_joined([_engine_metrics(model) for model in loaded]),
        ]


def active_devices(models: Iterable[LoadedModel]) -> frozenset[str]:
    """The devices on which these models compute right now."""
    snapshots = [model.worker.snapshot() for model in models]
    return frozenset(snapshot.placement.device for snapshot in snapshots if snapshot.num_running)


def _held_details(held: HeldModel) -> wire.Object:
    told: wire.Object = {"id": held.name, "status": held.status}
    if held.loaded is None:
        return told
    engine = held.loaded.worker.snapshot()
    return told | {"engine": engine.label, "num_running": engine.num_running, "num_waiting": engine.num_waiting}


def _engine_details(model: LoadedModel) -> wire.Object:
    engine = model.worker.snapshot()
    return {
        "engine": engine.label,
        "engine_reason": model.engine_reason,
        "provider": engine.placement.provider,
        "provider_nodes": engine.placement.nodes,
        "num_running": engine.num_running,
        "num_waiting": engine.num_waiting,
        "max_rows": engine.max_rows,
        "requests_aborted": engine.totals.finished[FinishReason.ABORTED],
        "kv_budget_bytes": engine.kv_budget_bytes,
        "kv_used_bytes": engine.kv_used_bytes,
        "prefix_cache_bytes": engine.prefix_cache_bytes,
    }


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
        metric("lookahead_guesses_total", "counter", "Tokens computed ahead on a guess.", totals.lookahead_guesses),
        metric(
            "lookahead_tokens_total", "counter", "Tokens that were guessed and computed ahead.", totals.lookahead_tokens
        ),
        metric("generated_tokens_total", "counter", "Tokens generated.", totals.generated_tokens),
        metric("steps_total", "counter", "Steps of the engine.", totals.steps),
        metric("kv_budget_bytes", "gauge", "Most memory for keys and values.", engine.kv_budget_bytes),
        metric("kv_used_bytes", "gauge", "Memory of the rows' keys and values.", engine.kv_used_bytes),
        metric("prefix_cache_bytes", "gauge", "Memory of the prefix cache.", engine.prefix_cache_bytes),
        metric("prefix_cache_entries", "gauge", "Pieces of prompts in it.", engine.prefix_cache_entries),
    ]
