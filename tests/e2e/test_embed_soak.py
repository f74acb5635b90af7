"""Ten thousand requests to a server in a process of its own: its memory stays what it was."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.server_process import ServerProcess, serve
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from benchmarks.load.http_keep_alive import KeepAliveClient
from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress

pytestmark = pytest.mark.slow

NUM_REQUESTS, NUM_WARM_UP, NUM_CLIENTS = 10_000, 2_000, 16
BODIES = [
    json.dumps({"input": given}).encode()
    for given in ("w1", ["w1 w2", "w3"], [5, 6, 7], " ".join(["w9"] * 14), ["w1 w2 w3"] * 8)
]
BAD = [b'{"input": ""}', b'{"input": [', b'{"input": [5, "w1"]}', b'{"input": "' + b"w1 " * 400 + b'"}']


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    (tmp_path / "model").mkdir()
    import_encoder(source, tmp_path / "model", weights="fp32", name="tiny", progress=SilentProgress())
    with serve(str(tmp_path / "model"), "--log-level", "info", command="serve-embed") as running:
        yield running


async def ask(url: str, count: int) -> None:
    """So many requests from all clients together, one in five of them malformed."""
    numbers = iter(range(count))

    async def client() -> None:
        async with KeepAliveClient(url) as connection:
            for number in numbers:
                is_bad = number % 5 == 0
                body = BAD[number // 5 % len(BAD)] if is_bad else BODIES[number % len(BODIES)]
                status, _ = await connection.post_bytes("/v1/embeddings", body)
                assert status == (400 if is_bad else 200)

    await asyncio.gather(*(client() for _ in range(NUM_CLIENTS)))


async def test_resident_memory_is_flat_over_ten_thousand_requests(server: ServerProcess) -> None:
    process = psutil.Process(server.process.pid)
    await ask(server.url, NUM_WARM_UP)
    before_bytes = process.memory_info().rss
    await ask(server.url, NUM_REQUESTS - NUM_WARM_UP)
    assert process.memory_info().rss <= 1.05 * before_bytes
