"""What the embedding server says about itself: `/`, `/health`, `/metrics`, `/api/system/memory`."""

import asyncio
from collections.abc import Sequence

from obeaver import __version__
from obeaver.api import wire
from obeaver.api.embed_state import EmbedState, EncoderHost, LoadedEncoder
from obeaver.api.metrics import CONTENT_TYPE, Metric, exposition, labels
from obeaver.api.operations import Operation
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse, TextResponse


class EmbedSystemApi:
    """Handlers that tell of the server and its model."""

    def __init__(self, state: EmbedState, operations: Sequence[Operation]) -> None:
        self._models = state.models
        self._monitor = state.monitor
        self._endpoints = [f"{operation.method} {operation.path.replace(':path', '')}" for operation in operations]

    async def root(self, _request: Request) -> JSONResponse:
        """`GET /`."""
        return JSONResponse({"name": "obeaver", "version": __version__, "endpoints": self._endpoints, "docs": "/docs"})

    async def health(self, _request: Request) -> JSONResponse:
        """`GET /health`: 200 if requests are answered, else 503."""
        status = embed_status(self._models)
        model = self._models.model
        details = {"model": None, "engine": None} if model is None else _details(model)
        return JSONResponse({"status": status, **details}, status=200 if status == "ok" else 503)

    async def memory(self, _request: Request) -> JSONResponse:
        """`GET /api/system/memory`."""
        model = self._models.model
        encoder = None if model is None else model.worker.snapshot()
        active = frozenset({encoder.placement.device}) if encoder and encoder.num_requests else frozenset[str]()
        return JSONResponse(await asyncio.to_thread(self._monitor.snapshot, active))

    async def metrics(self, _request: Request) -> TextResponse:
        """`GET /metrics`."""
        rss_bytes = await asyncio.to_thread(self._monitor.process_rss_bytes)
        metrics = _metrics(self._models.model, rss_bytes)
        return TextResponse(exposition(metrics), media_type=CONTENT_TYPE)


def embed_status(models: EncoderHost) -> str:
    """One word: `draining`, `loading`, `unhealthy` or `ok`."""
    if models.draining:
        return "draining"
    if models.model is None:
        return "loading"
    return "ok" if models.model.worker.snapshot().healthy else "unhealthy"


def _details(model: LoadedEncoder) -> wire.Object:
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


def _metrics(model: LoadedEncoder | None, rss_bytes: int) -> Sequence[Metric]:
    name, provider = ("", "") if model is None else (model.name, model.worker.snapshot().placement.provider)
    info = labels(version=__version__, model=name, provider=provider)
    process = [
        Metric("info", "gauge", "Version, model and execution provider.", {info: 1}),
        Metric("process_resident_bytes", "gauge", "Memory of the process in RAM.", {"": rss_bytes}),
    ]
    return process if model is None else process + _engine_metrics(model)


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
