"""What the server says about itself: `/`, `/health`, `/metrics`, `/api/system/memory`."""

import asyncio
from collections.abc import Iterable, Sequence

from obeaver import __version__
from obeaver.api import wire
from obeaver.api.held_model import HeldModel
from obeaver.api.metrics import CONTENT_TYPE, exposition, metrics_of
from obeaver.api.model_host import ModelHost
from obeaver.api.operations import Operation
from obeaver.api.state import ApiState, LoadedModel
from obeaver.engine.sequence import FinishReason
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse, TextResponse


class SystemApi:
    """Handlers that tell of the server."""

    def __init__(self, state: ApiState, operations: Sequence[Operation]) -> None:
        self._models = state.models
        self._monitor = state.monitor
        self._endpoints = [f"{operation.method} {operation.path.replace(':path', '')}" for operation in operations]

    async def root(self, _request: Request) -> JSONResponse:
        """`GET /`."""
        return JSONResponse({"name": "obeaver", "version": __version__, "endpoints": self._endpoints, "docs": "/docs"})

    async def health(self, _request: Request) -> JSONResponse:
        """`GET /health`: 200 if requests are answered, else 503."""
        status = health_status(self._models)
        return JSONResponse({"status": status, **_details(self._models)}, status=200 if status == "ok" else 503)

    async def memory(self, _request: Request) -> JSONResponse:
        """`GET /api/system/memory`."""
        active = active_devices(self._models.in_memory)
        return JSONResponse(await asyncio.to_thread(self._monitor.snapshot, active))

    async def metrics(self, _request: Request) -> TextResponse:
        """`GET /metrics`."""
        rss_bytes = await asyncio.to_thread(self._monitor.process_rss_bytes)
        metrics = metrics_of(self._models, version=__version__, rss_bytes=rss_bytes)
        return TextResponse(exposition(metrics), media_type=CONTENT_TYPE)


def health_status(models: ModelHost) -> str:
    """One word: `draining`, `loading`, `unhealthy` or `ok`. A server that was asked to hold no model is `ok`.

    `loading` is for the start: later, requests wait for a model that is being loaded.
    """
    if models.draining:
        return "draining"
    if any(held.status == "unhealthy" for held in models.held):
        return "unhealthy"
    return "loading" if any(not held.loaded_at for held in models.held) else "ok"


def active_devices(models: Iterable[LoadedModel]) -> frozenset[str]:
    """The devices that compute right now."""
    snapshots = [model.worker.snapshot() for model in models]
    return frozenset(snapshot.placement.device for snapshot in snapshots if snapshot.num_running)


def _details(models: ModelHost) -> wire.Object:
    default = models.held[0] if models.held else None
    return {
        "model": None if default is None else default.name,
        "engine": None,
        **({} if default is None or default.loaded is None else _engine_details(default.loaded)),
        "models": [_held_details(held) for held in models.held],
        "load": None if models.last_load is None else models.last_load.as_object(),
        "leaving": [held.name for held in models.leaving],
    }


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
