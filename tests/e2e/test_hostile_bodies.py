"""Bodies that ask for too much, each beside running streams: nobody else waits, and every one of them is answered."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from support import asgi, embed_app
from support.chat_app import ServedChat, serving
from support.hostile_bodies import CHAT, Hostile, hostile_chats, hostile_embeddings, hostile_reranks
from support.loop_cpu import watching_callbacks
from support.tiny_decoder import TinyDecoder
from support.tiny_encoder import write_embedder, write_reranker

from obeaver.web.types import ASGIApp

pytestmark = [pytest.mark.real, pytest.mark.slow]

SCALE: Final = float(os.environ.get("OBEAVER_HOSTILE_SCALE", "0.1"))
"""`make soak` sends them in full."""

CONTEXT: Final = 4096
PATIENCE_S: Final = 300
MOST_S: Final = 0.05 if SCALE >= 1 else 0.25
"""Of a callback's processor time. A tenth of a body takes milliseconds here, and a slow machine several times as long;
before the limits it took up to two seconds."""

NUM_STREAMS: Final = 4


class Found(NamedTuple):
    """What may not be, by the names of bodies: statuses of answers, and callbacks that took too long."""

    statuses: dict[str, int | None]
    lags: dict[str, tuple[float, str]]


@pytest.fixture
def model(default_model: Path, tmp_path: Path) -> Path:
    """The default model's texts round a decoder that computes next to nothing."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in default_model.iterdir():
        if path.suffix in (".json", ".jinja") and path.name not in ("store.json", "obeaver.json"):
            shutil.copy(path, folder)
    vocab = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]["vocab_size"]
    TinyDecoder(vocab=vocab, hidden=32, heads=2, kv_heads=1, layers=1, context=CONTEXT).write(folder)
    return folder


@asynccontextmanager
async def streaming(served: ServedChat) -> AsyncIterator[list[asgi.Exchange]]:
    """Four streams that go on for longer than the block."""
    body = {"messages": [{"role": "user", "content": "Tell a story."}], "stream": True, "ignore_eos": True}
    sent = json.dumps(body | {"max_tokens": -1}).encode()
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(NUM_STREAMS):
            scope = asgi.http_scope("POST", CHAT, headers={"content-type": "application/json"})
            exchange, _task = await stack.enter_async_context(asgi.exchange(served.app, scope, [sent]))
            streams.append(exchange)
        yield streams


async def status_of(app: ASGIApp, path: str, body: bytes) -> int | None:
    """Send a body and read the answer to its end."""
    scope = asgi.http_scope("POST", path, headers={"content-type": "application/json"})
    async with asgi.exchange(app, scope, [body]) as (exchange, task), asyncio.timeout(PATIENCE_S):
        await task
        return exchange.reply.status


async def _sent(app: ASGIApp, bodies: Sequence[Hostile], monkeypatch: pytest.MonkeyPatch) -> Found:
    found = Found({}, {})
    with watching_callbacks(monkeypatch) as seen:
        for hostile in bodies:
            body = await asyncio.to_thread(hostile.body, SCALE)
            seen.begin()
            status = await status_of(app, hostile.path, body)
            if status not in ((200,) if hostile.is_taken else (200, 400, 413)):
                found.statuses[hostile.name] = status
            if seen.worst_s > MOST_S:
                found.lags[hostile.name] = (seen.worst_s, seen.callback)
    return found


async def test_no_body_keeps_the_event_loop_from_others(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path / "home", model, kv_cache_mb=400) as served, streaming(served):
        found = await _sent(served.app, hostile_chats(), monkeypatch)
    assert found == Found({}, {})


async def test_no_texts_keep_the_event_loop_of_an_embedding_server(
    default_embedding_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_embedder(tmp_path, default_embedding_model / "tokenizer.json")
    async with embed_app.serving(folder) as served:
        found = await _sent(served.app, hostile_embeddings(), monkeypatch)
    assert found == Found({}, {})


async def test_no_documents_keep_the_event_loop_of_a_reranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with embed_app.serving(write_reranker(tmp_path)) as served:
        found = await _sent(served.app, hostile_reranks(), monkeypatch)
    assert found == Found({}, {})
