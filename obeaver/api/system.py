"""What the server says about itself: `/`, `/health`, `/metrics`, `/api/system/memory`."""

import asyncio
from collections.abc import Sequence

from obeaver import __version__
from obeaver.api import wire
from obeaver.api.metrics import CONTENT_TYPE, exposition, metrics_of
from obeaver.api.operations import Operation
from obeaver.api.state import ApiState, LoadedModel, ModelHost
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
        model = self._models.model
        details = {"model": None, "engine": None} if model is None else _engine_details(model)
        return JSONResponse({"status": status, **details}, status=200 if status == "ok" else 503)

    async def memory(self, _request: Request) -> JSONResponse:
        """`GET /api/system/memory`."""
        active = active_devices(self._models.model)
        return JSONResponse(await asyncio.to_thread(self._monitor.snapshot, active))

    async def metrics(self, _request: Request) -> TextResponse:
        """`GET /metrics`."""
        rss_bytes = await asyncio.to_thread(self._monitor.process_rss_bytes)
        metrics = metrics_of(self._models.model, version=__version__, rss_bytes=rss_bytes)
        return TextResponse(exposition(metrics), media_type=CONTENT_TYPE)


def health_status(models: ModelHost) -> str:
    """One word: `draining`, `loading`, `unhealthy` or `ok`. A server that was asked to hold no model is `ok`."""
    if models.draining:
        return "draining"
    if models.model is None:
        return "loading" if models.loading else "ok"
    return "ok" if models.model.worker.snapshot().healthy else "unhealthy"


def active_devices(model: LoadedModel | None) -> frozenset[str]:
    """The devices that compute right now."""
    if model is None or not model.worker.snapshot().num_running:
        return frozenset()
    return frozenset({model.worker.snapshot().placement.device})


def _engine_details(model: LoadedModel) -> wire.Object:
    engine = model.worker.snapshot()
    return {
        "model": model.name,
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
