"""What every server is: routes behind the layers of the web package, and a life around them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from obeaver.api.metrics.server import ServerMetrics
from obeaver.app.freed_memory import giving_back
from obeaver.app.keys import api_keys
from obeaver.app.loop_lag import watching_lag
from obeaver.app.memory import MB
from obeaver.app.short_turns import short_turns
from obeaver.config import Settings
from obeaver.web.access import DEFAULT_OPEN_PATHS, PROBES, ApiKey, HostCheck
from obeaver.web.content_log import ContentLog
from obeaver.web.cors import Cors
from obeaver.web.fairness import ClientLimit, Deadline
from obeaver.web.http10 import WholeForHttp10
from obeaver.web.in_flight import Drain, InFlight
from obeaver.web.lifespan import Lifespan
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.request import BodyLimits
from obeaver.web.request_log import RequestLog
from obeaver.web.router import Route, Router
from obeaver.web.safe_answers import SafeAnswers
from obeaver.web.threads import started_threads
from obeaver.web.types import ASGIApp, Receive, Scope, Send

NUM_THREADS: Final = 8
"""For what waits for disks, and for large bodies: little of it computes."""


class Application:
    """obeaver as an ASGI application.

    Args:
        settings: What the server was told.
        routes: What it answers.
        life: Makes the context that holds while it answers: loads the model, and gives it back.
        on_drain: Called when it begins to stop.
        open_paths: What is answered without the API key, as `ApiKey` has it.
        log: Keeps the latest requests, for those who watch.
        in_flight: Counts what it waits for when it stops.
        metrics: Counts them.
        models: Names of those that it starts with.

    Attributes:
        settings: What the server was told.
        models: Names of those that it starts with.
        metrics: What is counted.
    """

    def __init__(
        self,
        settings: Settings,
        routes: Iterable[Route],
        life: Callable[[], AbstractAsyncContextManager[None]],
        *,
        on_drain: Callable[[], None],
        open_paths: Iterable[str] = DEFAULT_OPEN_PATHS,
        log: RequestLog | None = None,
        in_flight: InFlight | None = None,
        metrics: ServerMetrics,
        models: Iterable[str] = (),
    ) -> None:
        self.settings = settings
        self.models = tuple(models)
        self._on_drain = on_drain
        self._open_paths = tuple(open_paths)
        self._log = log
        self._in_flight = in_flight or InFlight()
        self.metrics = metrics
        self._lifespan = Lifespan(self._layers(routes), lambda: self._lives(life))

    @property
    def start_error(self) -> Exception | None:
        """Why the start failed, if it did."""
        return self._lifespan.start_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or live through start-up and shutdown."""
        await self._lifespan(scope, receive, send)

    async def drain(self) -> None:
        """Refuse new requests and wait for the running ones, at most as long as the settings say."""
        self._on_drain()
        await self._in_flight.drain(self.settings.shutdown_timeout_s)

    def stop_draining(self) -> None:
        """Do not wait for anybody any longer."""
        self._in_flight.cut_short()

    @asynccontextmanager
    async def _lives(self, life: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
        # Closed by the loop itself.
        asyncio.get_running_loop().set_default_executor(started_threads(NUM_THREADS, "obeaver"))
        with short_turns():
            async with life(), watching_lag(self.metrics.on_lag), giving_back(self._in_flight):
                yield

    def _layers(self, routes: Iterable[Route]) -> ASGIApp:
        """The layers round the router, innermost first; `web/middleware.py` says why they stand in this order."""
        settings = self.settings
        limits = BodyLimits(int(settings.max_body_mb * MB), settings.max_json_values, settings.receive_timeout_s)
        router = Router(routes, limits=limits)
        app: ASGIApp = router
        if settings.max_client_requests:
            app = ClientLimit(app, most=settings.max_client_requests)
        if keys := api_keys(settings):
            app = ApiKey(app, keys=keys, open_paths=self._open_paths)
        if settings.request_timeout_s:
            app = Deadline(app, limit_s=settings.request_timeout_s)
        app = Drain(app, in_flight=self._in_flight, watching=(*PROBES, "/metrics"))
        app = HostCheck(app, bound_host=settings.host, names=settings.allowed_host)
        app = ErrorBoundary(app, shape_of=router.error_shape)
        app = Cors(app, origins=settings.cors_origin, shape_of=router.error_shape)
        app = SafeAnswers(app)
        if settings.log_prompts:
            app = ContentLog(app)
        return WholeForHttp10(RequestId(AccessLog(app, log=self._log, measure=self.metrics.on_request)))
