"""The chat server: from settings and a model's folder to an application."""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from obeaver.allocator import keep_together
from obeaver.api.metrics.engines import DecoderMetrics
from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.models.model_host import ModelHost
from obeaver.api.models.pulls import Pulls
from obeaver.api.models.state import ApiState
from obeaver.api.routes import routes
from obeaver.app.application import Application
from obeaver.app.archiving import make_archive
from obeaver.app.chat_loader import ChatLoader
from obeaver.app.given_template import given_templates
from obeaver.app.memory import settle
from obeaver.app.pulling import pull_command
from obeaver.app.trace_file import TraceFile
from obeaver.config import Settings
from obeaver.engine.tracing import UNTRACED
from obeaver.models.library import ChatLibrary
from obeaver.models.store import Store, StoredModel
from obeaver.monitor.monitor import Monitor
from obeaver.web.access import DEFAULT_OPEN_PATHS
from obeaver.web.background import BackgroundWork
from obeaver.web.in_flight import InFlight
from obeaver.web.router import Route


def chat_application(
    settings: Settings,
    *models: StoredModel,
    make_routes: Callable[[ApiState], Sequence[Route]] = routes,
    open_paths: Iterable[str] = DEFAULT_OPEN_PATHS,
) -> Application:
    """`obeaver serve`: the chat API over some models.

    Args:
        settings: What the server was told.
        models: Those to load at the start; the first one answers requests that name none of them.
        make_routes: What it answers.
        open_paths: What of that needs no API key.
    """
    keep_together()
    store = Store(settings.home)
    in_flight = InFlight()
    metrics = ServerMetrics()
    trace = TraceFile(Path(settings.trace).expanduser()) if settings.trace else None
    loader = ChatLoader(
        settings,
        store,
        DecoderMetrics(metrics.registry).of,
        trace or UNTRACED,
        templates=given_templates(settings, models),
    )
    host = ModelHost(
        loader,
        keep_alive_s=settings.keep_alive_s,
        strict=settings.strict_model,
        restart=settings.restart_engine,
        leaving_s=settings.shutdown_timeout_s,
    )
    state = ApiState(
        models=host,
        library=ChatLibrary(store, known=models),
        monitor=Monitor(),
        metrics=metrics,
        pulls=Pulls(pull_command(settings)),
        archive=make_archive(settings),
        background=BackgroundWork(in_flight),
        stream_keep_alive_s=settings.stream_keep_alive_s,
    )

    @contextlib.asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if trace is not None:
                stack.callback(trace.close)
            stack.callback(state.close)
            if state.archive is not None:
                stack.push_async_callback(state.archive.close)
            stack.push_async_callback(host.close)
            stack.push_async_callback(state.background.close)
            stack.push_async_callback(state.pulls.close)
            for stored in models:
                await host.hold(stored)
            settle()
            stack.callback(gc.unfreeze)
            yield

    def on_drain() -> None:
        host.drain()
        state.pulls.cancel()

    return Application(
        settings,
        make_routes(state),
        life,
        on_drain=on_drain,
        open_paths=open_paths,
        log=state.request_log,
        in_flight=in_flight,
        metrics=metrics,
        models=[stored.name for stored in models],
    )
