"""The whole application over a model whose answers the test writes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.event_stream import read_events, read_json_events
from support.scripted_loader import Script, ScriptedLoader, folder_model
from support.scripted_model import HELLO, TEMPLATE, Reply, ScriptedRunner, write_model_folder

from obeaver.api.metrics.engines import DecoderMetrics
from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.models.model_host import ModelHost
from obeaver.api.models.state import ApiState
from obeaver.api.routes import routes
from obeaver.archive.archive import Archive
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.grammar.grammar import GrammarCompiler
from obeaver.engine.sessions.placement import Placement
from obeaver.models.library import ChatLibrary
from obeaver.models.store import Store
from obeaver.monitor.monitor import Monitor
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.router import Router
from obeaver.web.types import ASGIApp

USER = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"


@dataclass
class Served:
    """A running application."""

    app: ASGIApp
    state: ApiState
    worker: EngineWorker
    runner: ScriptedRunner
    user = USER

    async def get(self, path: str) -> asgi.Reply:
        """One GET."""
        return await asgi.request(self.app, "GET", path)

    async def post(self, path: str, **parameters: Any) -> asgi.Reply:
        """One POST of a JSON object."""
        return await asgi.request(self.app, "POST", path, data=parameters)

    async def chat(self, **parameters: Any) -> asgi.Reply:
        """One chat request; greedy unless the test wants something else."""
        return await asgi.request(self.app, "POST", CHAT, data={"messages": USER, "temperature": 0} | parameters)

    async def answer(self, **parameters: Any) -> dict[str, Any]:
        """The answer of a chat request that succeeds."""
        reply = await self.chat(**parameters)
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = reply.json()
        return answer

    async def stream(self, **parameters: Any) -> list[dict[str, Any]]:
        """The chunks of a streamed answer that ends as it should."""
        reply = await self.chat(stream=True, **parameters)
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert read_events(reply.body)[-1] == "[DONE]"
        return read_json_events(reply.body)

    async def read_late(self, **parameters: Any) -> list[dict[str, Any]]:
        """The chunks that a client gets who reads only when the engine has finished its answer."""
        body = json.dumps({"messages": USER, "temperature": 0, "stream": True} | parameters).encode()
        scope = asgi.http_scope("POST", CHAT, headers={"content-type": "application/json"})

        def num_finished() -> int:
            return sum(self.worker.snapshot().totals.finished.values())

        before = num_finished()
        async with asgi.exchange(self.app, scope, [body]) as (exchange, task):
            exchange.stop_reading()
            await until(lambda: num_finished() == before + 1)
            exchange.read_on()
            await task
        return read_json_events(exchange.reply.body)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a counter of the engine's thread."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # another thread counts
            await asyncio.sleep(0.001)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a model: `async with serve(says("Hello")) as served`."""

    @asynccontextmanager
    async def serving(
        reply: Reply = HELLO,
        *,
        template: str = TEMPLATE,
        fails: Callable[[int], bool] = lambda num_runs: False,
        grammars: GrammarCompiler | None = None,
        add_bos: bool = False,
        gives_all_logits: bool = True,
        step_s: float = 0.0,
        placement: Placement | None = None,
        archive: Archive | None = None,
        **options: int,
    ) -> AsyncIterator[Served]:
        write_model_folder(tmp_path, template, add_bos=add_bos)
        script = Script(
            reply=reply,
            fails=fails,
            gives_all_logits=gives_all_logits,
            step_s=step_s,
            placement=placement,
            template=template,
            grammars=grammars,
            options=options,
        )
        metrics = ServerMetrics()
        host = ModelHost(ScriptedLoader({"scripted": script}, DecoderMetrics(metrics.registry).of))
        stored = folder_model("scripted", tmp_path)
        await host.hold(stored)
        assert host.model is not None
        state = ApiState(
            models=host,
            library=ChatLibrary(Store(tmp_path / "home"), known=[stored]),
            monitor=Monitor(lambda: None, lambda: None),
            archive=archive,
            metrics=metrics,
            clock=lambda: 1_800_000_000.9,
        )
        router = Router(routes(state))
        boundary = ErrorBoundary(router, shape_of=router.error_shape)
        app = RequestId(AccessLog(boundary, measure=metrics.on_request))
        try:
            yield Served(app, state, host.model.worker, script.runners[0])
        finally:
            await state.background.close()
            await host.close()
            if archive is not None:
                await archive.close()
            state.close()

    return serving
