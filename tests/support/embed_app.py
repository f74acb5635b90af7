"""The embedding server over a small real model on disk, without sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import asgi

from obeaver.app.application import Application
from obeaver.app.embed import embed_application
from obeaver.config import Settings
from obeaver.models.store import StoredModel
from obeaver.web.types import Message

EMBEDDINGS, RERANK = "/v1/embeddings", "/v1/rerank"


@dataclass
class ServedEncoder:
    """A running application."""

    app: Application

    async def get(self, path: str) -> asgi.Reply:
        return await asgi.request(self.app, "GET", path)

    async def post(self, path: str, **body: Any) -> asgi.Reply:
        return await asgi.request(self.app, "POST", path, data=body)

    async def embed(self, given: Any, **parameters: Any) -> dict[str, Any]:
        """The answer of a request that succeeds."""
        reply = await self.post(EMBEDDINGS, input=given, **parameters)
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = reply.json()
        return answer

    async def vectors(self, given: Any, **parameters: Any) -> list[Any]:
        return [item["embedding"] for item in (await self.embed(given, **parameters))["data"]]


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[ServedEncoder]:
    """Serve a model folder for the length of the block."""
    app = embed_application(Settings(threads=1, **settings), StoredModel(folder.name, folder, None, 0, 0))
    async with _living(app):
        yield ServedEncoder(app)


@asynccontextmanager
async def _living(app: Application) -> AsyncIterator[None]:
    """What a server does around the life of an application."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    started = await heard.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await heard.get())["type"] == "lifespan.shutdown.complete"
        await life
