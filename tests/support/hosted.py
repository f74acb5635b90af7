"""A server of several scripted models, which can be loaded, exchanged and unloaded."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import asgi
from support.event_stream import read_json_events
from support.scripted_loader import Script, ScriptedLoader, store_model

from obeaver.api.metrics.engines import DecoderMetrics
from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.models.model_host import ModelHost
from obeaver.api.models.state import ApiState
from obeaver.api.routes import routes
from obeaver.models.library import ChatLibrary
from obeaver.models.store import Store
from obeaver.monitor.monitor import Monitor
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.router import Router
from obeaver.web.types import ASGIApp

CHAT, LOAD, AVAILABLE = "/v1/chat/completions", "/api/models/load", "/api/models/available"
USER = [{"role": "user", "content": "Hi"}]


@dataclass
class Hosted:
    """A running application."""

    app: ASGIApp
    host: ModelHost
    loader: ScriptedLoader
    store: Store
    state: ApiState

    def script(self, name: str) -> Script:
        """How a model behaves."""
        return self.loader.scripts[name]

    async def get(self, path: str) -> Any:
        """The JSON of one GET."""
        return (await asgi.request(self.app, "GET", path)).json()

    async def health(self) -> Any:
        """What `/health` says."""
        return await self.get("/health")

    async def load(self, alias: str, query: str = "", **parameters: Any) -> asgi.Reply:
        """One request to load a model."""
        return await asgi.request(self.app, "POST", LOAD + query, data={"alias": alias} | parameters)

    async def chat(self, **parameters: Any) -> asgi.Reply:
        """One chat request."""
        return await asgi.request(self.app, "POST", CHAT, data={"messages": USER, "temperature": 0} | parameters)

    async def answer(self, **parameters: Any) -> tuple[str, str]:
        """Which model answered, and what."""
        reply = await self.chat(**parameters)
        assert reply.status == 200, reply.body
        answer = reply.json()
        return answer["model"], answer["choices"][0]["message"]["content"]

    def streaming(self, **parameters: Any) -> AbstractAsyncContextManager[tuple[asgi.Exchange, asyncio.Task[None]]]:
        """A streamed chat request beside the test."""
        body = json.dumps({"messages": USER, "temperature": 0, "stream": True} | parameters).encode()
        scope = asgi.http_scope("POST", CHAT, headers={"content-type": "application/json"})
        return asgi.exchange(self.app, scope, [body])


def streamed(reply: asgi.Reply) -> tuple[Collection[str], str]:
    """Which models a stream names, and the text of its deltas."""
    chunks = read_json_events(reply.body)
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    return {chunk["model"] for chunk in chunks}, text


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task or thread does."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def hosting(home: Path, scripts: dict[str, Script], *held: str, **options: Any) -> AsyncIterator[Hosted]:
    """Serve models out of a store.

    Args:
        home: Of the store.
        scripts: The models in the store, by name.
        held: Those that are loaded at the start, the default first.
        options: Of the host.
    """
    store = Store(home)
    stored = {name: store_model(store, name) for name in scripts}
    metrics = ServerMetrics()
    loader = ScriptedLoader(scripts, DecoderMetrics(metrics.registry).of)
    host = ModelHost(loader, **options)
    state = ApiState(
        models=host, library=ChatLibrary(store), monitor=Monitor(lambda: None, lambda: None), metrics=metrics
    )
    try:
        for name in held:
            await host.hold(stored[name])
        router = Router(routes(state))
        boundary = ErrorBoundary(router, shape_of=router.error_shape)
        app = RequestId(AccessLog(boundary, log=state.request_log, measure=metrics.on_request))
        yield Hosted(app, host, loader, store, state)
    finally:
        await host.close()
        state.close()
