"""The chat server over small real models in a store on disk, without sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import asgi
from support.scripted_model import VOCAB_SIZE, write_model_folder
from support.tiny_decoder import TinyDecoder

from obeaver.app.application import Application
from obeaver.app.chat import chat_application
from obeaver.config import Settings
from obeaver.models.store import Store, StoredModel
from obeaver.web.types import Message


@dataclass
class ServedChat:
    """A running application, and the store behind it."""

    app: Application
    store: Store

    async def get(self, path: str) -> Any:
        """The JSON of one GET."""
        return (await asgi.request(self.app, "GET", path)).json()

    async def load(self, **body: Any) -> asgi.Reply:
        """One request to load a model."""
        return await asgi.request(self.app, "POST", "/api/models/load", data=body)

    async def answer(self, **parameters: Any) -> tuple[str, str]:
        """Which model answers a fixed question, and what."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 8}
        reply = await asgi.request(self.app, "POST", "/v1/chat/completions", data=body | parameters)
        assert reply.status == 200, reply.body
        answer = reply.json()
        return answer["model"], answer["choices"][0]["message"]["content"]


def make_model(store: Store, name: str, seed: int = 0, **decoder: Any) -> StoredModel:
    """Put a small random model into a store; `decoder` is what else `TinyDecoder` takes."""
    with store.staging(name) as folder:
        write_model_folder(folder)
        TinyDecoder(vocab=VOCAB_SIZE, seed=seed, **decoder).write(folder)
    stored = store.find(name)
    assert stored is not None
    return stored


def _stored(store: Store, model: str | Path) -> StoredModel:
    if isinstance(model, Path):
        return StoredModel(model.name, model, recipe=None, size_bytes=0, created=0)
    found = store.find(model)
    assert found is not None
    return found


@asynccontextmanager
async def serving(
    home: Path, *models: str | Path, make: Callable[..., Application] = chat_application, **settings: Any
) -> AsyncIterator[ServedChat]:
    """Serve models for the length of the block: those of the store in `home` by name, others by folder."""
    store = Store(home)
    stored = [_stored(store, model) for model in models]
    app = make(Settings(home=home, **({"threads": 1, "kv_cache_mb": 8} | settings)), *stored)
    told: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    started = await heard.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield ServedChat(app, store)
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await heard.get())["type"] == "lifespan.shutdown.complete"
        await life
