"""What a server says about itself: `/`, `/health`, `/metrics`, `/api/system/memory`."""

from collections.abc import Sequence
from typing import Protocol

from obeaver import __version__
from obeaver.api.contract import wire
from obeaver.api.contract.operations import Operation
from obeaver.api.metrics.server import CONTENT_TYPE, Gauges, ServerMetrics
from obeaver.api.system.shared_reading import SharedReading
from obeaver.monitor.monitor import Monitor
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse, Response


class Condition(Gauges, Protocol):
    """How a server stands, whatever kind of model it has."""

    @property
    def status(self) -> str:
        """One word: `draining`, `loading`, `unhealthy`, `restarting` or `ok`."""

    @property
    def model(self) -> str:
        """The default model's name; "" where there is none."""

    @property
    def provider(self) -> str:
        """The execution provider that computes for it; "" where nothing does."""

    def details(self) -> wire.Object:
        """What `/health` says beside the status."""

    def active_devices(self) -> frozenset[str]:
        """The devices that compute right now."""


class SystemApi:
    """Handlers that tell of the server.

    Args:
        condition: How it stands.
        monitor: Memory of machine and process.
        operations: What it answers.
        metrics: What was counted.
    """

    def __init__(
        self, condition: Condition, monitor: Monitor, operations: Sequence[Operation], metrics: ServerMetrics
    ) -> None:
        self._condition = condition
        self._metrics = metrics
        self._reading = SharedReading(monitor.read)
        self._endpoints = [f"{operation.method} {operation.path.replace(':path', '')}" for operation in operations]

    async def root(self, _request: Request) -> JSONResponse:
        """`GET /`."""
        return JSONResponse({"name": "obeaver", "version": __version__, "endpoints": self._endpoints, "docs": "/docs"})

    async def health(self, _request: Request) -> JSONResponse:
        """`GET /health`: 200 if requests are answered, else 503."""
        status = self._condition.status
        answer = {"status": status, **self._condition.details()}
        return JSONResponse(answer, status=200 if status == "ok" else 503)

    async def live(self, _request: Request) -> JSONResponse:
        """`GET /health/live`: 503 where this process will never answer again, so that a supervisor starts a new one."""
        status = self._condition.status
        return JSONResponse({"status": status}, status=503 if status == "unhealthy" else 200)

    async def ready(self, _request: Request) -> JSONResponse:
        """`GET /health/ready`: 200 if requests are answered, else 503."""
        status = self._condition.status
        return JSONResponse({"status": status}, status=200 if status == "ok" else 503)

    async def memory(self, _request: Request) -> JSONResponse:
        """`GET /api/system/memory`."""
        reading = await self._reading.get()
        return JSONResponse(reading.as_object(self._condition.active_devices()))

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics`."""
        return Response(self._metrics.exposition(self._condition), media_type=CONTENT_TYPE)
