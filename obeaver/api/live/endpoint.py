"""`GET /api/engine`: the engines while they work, once or as server-sent events."""

import asyncio
from collections.abc import Callable

from obeaver.api.contract import wire
from obeaver.api.contract.queries import wants_stream
from obeaver.api.live.engine_view import EngineView, request_objects
from obeaver.api.live.feed import EngineFeed, Look
from obeaver.api.models.model_host import ModelHost
from obeaver.web.request import Request
from obeaver.web.request_log import RequestLog
from obeaver.web.response import JSONResponse
from obeaver.web.stream import EventStream


class EngineLive:
    """Shows the engines and the latest requests.

    Args:
        models: The models that answer.
        log: The latest requests.
        clock: Seconds since 1970.
    """

    def __init__(self, models: ModelHost, log: RequestLog, clock: Callable[[], float]) -> None:
        self._view = EngineView(models, lambda: asyncio.get_running_loop().time())
        self._log = log
        self._clock = clock
        self._feed = EngineFeed(self._look, self._told, lambda: models.draining)

    async def show(self, request: Request) -> JSONResponse | EventStream:
        """`GET /api/engine`.

        Raises:
            BadRequest: `stream` is neither true nor false.
        """
        if wants_stream(request):
            return EventStream(self._feed.events())
        return JSONResponse(self._told(self._look(), 0))

    def _look(self) -> Look:
        return Look(self._view.models(), self._log.last_number)

    def _told(self, look: Look, since: int) -> wire.Object:
        requests = request_objects(self._log.between(since, look.last_request))
        return {"time": round(self._clock(), 3), "models": look.models, "requests": requests}
