"""An encoder whose engine dies: its clients are told, and with the option it is there again."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.embed_app import EMBEDDINGS, ServedEncoder, serving
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from obeaver.app import embed
from obeaver.engine.encoding.batches import TokenisedText
from obeaver.engine.encoding.pooling import FloatArray
from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress


class DyingEncoder:
    """A real one that ends its thread at the first text of this length in tokens."""

    def __init__(self, encoder: Any, deadly: set[int]) -> None:
        self._encoder = encoder
        self._deadly = deadly

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def compute(self, texts: Sequence[TokenisedText]) -> FloatArray:
        for text in texts:
            if len(text.ids) in self._deadly:
                self._deadly.discard(len(text.ids))
                raise SystemExit
        values: FloatArray = self._encoder.compute(texts)
        return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    import_encoder(source, folder, weights="fp32", name="tiny-bert", progress=SilentProgress())
    return folder


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Encoders die once, of a text of five tokens; none is opened while the gate is closed."""
    gate, deadly, open_encoder = threading.Event(), {5}, embed.open_encoder
    gate.set()

    def opened(*args: Any) -> DyingEncoder:
        assert gate.wait(60)
        return DyingEncoder(open_encoder(*args), deadly)

    monkeypatch.setattr(embed, "open_encoder", opened)
    return gate


async def probes(served: ServedEncoder) -> list[tuple[int | None, str]]:
    replies = [await served.get(f"/health/{path}") for path in ("live", "ready")]
    return [(reply.status, reply.json()["status"]) for reply in replies]


async def until_ready_says(served: ServedEncoder, status: str) -> None:
    async with asyncio.timeout(60):
        while (await probes(served))[1][1] != status:  # noqa: ASYNC110  # as a supervisor asks
            await asyncio.sleep(0.02)


async def test_it_is_started_anew_and_answers_as_before(folder: Path, gate: threading.Event) -> None:
    async with serving(folder, restart_engine=True) as served:
        before = await served.vectors("w1")
        gate.clear()
        dead = await served.post(EMBEDDINGS, input="w1 w2 w3")
        assert (dead.status, dead.error["code"]) == (500, "engine_failed")
        await until_ready_says(served, "restarting")
        assert await probes(served) == [(200, "restarting"), (503, "restarting")]
        refused = await served.post(EMBEDDINGS, input="w1")
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        gate.set()
        await until_ready_says(served, "ok")
        assert await served.vectors("w1") == before
        assert len((await served.embed("w1 w2 w3"))["data"]) == 1


async def test_without_the_option_a_new_process_is_asked_for(folder: Path) -> None:
    async with serving(folder) as served:
        assert (await served.post(EMBEDDINGS, input="w1 w2 w3")).status == 500
        await until_ready_says(served, "unhealthy")
        assert await probes(served) == [(503, "unhealthy")] * 2
        assert (await served.post(EMBEDDINGS, input="w1")).status == 503
