"""How a chat server and its models stand."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Metric

from obeaver import __version__
from obeaver.api.contract import wire
from obeaver.api.metrics.server import counter, gauge, info
from obeaver.api.models.held_model import HeldModel
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.api.models.model_host import ModelHost
from obeaver.engine.decoding.live import EngineSnapshot
from obeaver.engine.decoding.sequence import FinishReason
from obeaver.engine.prefix_disk.prefix_disk import DiskStats


def kv_usage(engine: EngineSnapshot) -> float:
    """Share of the rows' memory that is taken."""
    of_rows = engine.kv_budget_bytes - engine.prefix_budget_bytes
    return engine.kv_used_bytes / of_rows if of_rows else 0.0


_ENGINE_GAUGES: Final[tuple[tuple[str, str, Callable[[EngineSnapshot], float]], ...]] = (
    ("obeaver_engine_healthy", "1 while the engine computes.", lambda engine: engine.healthy),
    ("obeaver_rows_limit", "Most sequences that are computed together.", lambda engine: engine.max_rows),
    ("vllm:kv_cache_usage_perc", "Share of the rows' memory that is taken; 1 is all of it.", kv_usage),
    ("obeaver_kv_budget_bytes", "Most memory for keys and values.", lambda engine: engine.kv_budget_bytes),
    (
        "obeaver_prefix_cache_budget_bytes",
        "Most memory for the prefix cache, of that for keys and values.",
        lambda engine: engine.prefix_budget_bytes,
    ),
    ("obeaver_prefix_disk_budget_bytes", "Most disk space for it.", lambda engine: engine.disk.budget_bytes),
    ("obeaver_prefix_disk_bytes", "Disk space that it takes.", lambda engine: engine.disk.used_bytes),
)
_USE_GAUGES: Final[tuple[tuple[str, str, Callable[[EngineSnapshot], float]], ...]] = (
    ("vllm:num_requests_running", "Sequences that are being computed.", lambda engine: engine.num_running),
    ("vllm:num_requests_waiting", "Sequences that wait for a row.", lambda engine: engine.num_waiting),
    ("obeaver_sequences_paused", "Sequences whose clients do not read.", lambda engine: engine.num_paused),
    ("obeaver_kv_used_bytes", "Memory of the rows' keys and values.", lambda engine: engine.kv_used_bytes),
    ("obeaver_prefix_cache_bytes", "Memory of the prefix cache.", lambda engine: engine.prefix_cache_bytes),
    ("obeaver_prefix_cache_entries", "Pieces of prompts in it.", lambda engine: engine.prefix_cache_entries),
)
"""Of engines that are left as well: they compute, and take memory, to the end of their answers."""

_DISK_COUNTERS: Final[tuple[tuple[str, str, Callable[[DiskStats], float]], ...]] = (
    ("obeaver_prefix_disk_read_tokens", "Tokens whose keys and values were read.", lambda disk: disk.read_tokens),
    ("obeaver_prefix_disk_written_tokens", "The same for written.", lambda disk: disk.written_tokens),
    (
        "obeaver_prefix_disk_skipped_tokens",
        "Tokens that were not written because the disk was behind.",
        lambda disk: disk.skipped_tokens,
    ),
    ("obeaver_prefix_disk_failures", "Times that the disk refused.", lambda disk: disk.failures),
)


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
        for status in ("unhealthy", "restarting"):
            if any(model.status == status for model in held):
                return status
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

    def gauges(self) -> Iterable[Metric]:
        """How the models stand."""
        yield info(__version__, self.model, self.provider)
        held = self._models.held
        in_memory = [(model.name, model.loaded is not None) for model in held]
        yield gauge("obeaver_model_in_memory", "1 while the model is in memory.", in_memory)
        loaded = [model.loaded for model in held if model.loaded is not None]
        models = self._models.in_memory
        for name, text, read in _ENGINE_GAUGES:
            yield gauge(name, text, [(model.name, read(model.worker.snapshot())) for model in loaded])
        for name, text, read in _USE_GAUGES:
            yield gauge(name, text, _summed((model.name, read(model.worker.snapshot())) for model in models))
        for name, text, count in _DISK_COUNTERS:
            yield counter(name, text, [(model.name, count(model.worker.snapshot().disk)) for model in loaded])
        waiting = _summed((model.name, model.worker.sequences().waiting_tokens) for model in models)
        yield gauge("obeaver_waiting_tokens", "Prompt tokens of sequences that wait.", waiting)


def _summed(values: Iterable[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    """One value for each name: a model may be left for another form of itself."""
    sums: dict[str, float] = {}
    for name, value in values:
        sums[name] = sums.get(name, 0) + value
    return sums.items()


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
        "chat_template": model.chat_template is not None,
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
