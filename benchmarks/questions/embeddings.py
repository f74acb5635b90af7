"""Group `embeddings`: obeaver's embedding server beside a bare onnxruntime loop over the same graph and texts.

The server gets 16 clients that send one text a request; the bare loop has the texts tokenised beforehand, sorted, and
the batch size that suits it best. Everybody has the same number of threads. fastembed and sentence-transformers take
part where an environment that has them is named; they run an export of the same weights.
"""

import base64
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench import Bench
from benchmarks.conductor import ContenderFailed, Measure, Question
from benchmarks.contenders.servers import Server, obeaver
from benchmarks.load.generator import closed_loop
from benchmarks.load.http_keep_alive import BlockingClient, KeepAliveClient
from benchmarks.results.distribution import percentile
from benchmarks.results.document import Metric
from obeaver.models.store import StoredModel
from obeaver.text.tokenizer import Tokenizer

BARE = "bare loop"
NUM_CLIENTS = 16
MIN_TOKENS, MAX_TOKENS = 8, 512
SHORT = "How do beavers build their dams?"
WORDS = (
    "river water beaver dam tree branch night winter lodge family stream forest pond mud stone work build repair swim "
    "quickly slowly together under above before after because although while the a of to in and with for from by"
).split()


def questions(bench: Bench, stored: Callable[[], StoredModel]) -> Iterator[Question]:
    """The questions of the group.

    Args:
        bench: What questions share.
        stored: Finds the embedding model, or fetches it.
    """
    setting = _Setting(bench, stored, num_texts=64 if bench.options.quick else 160)
    servers = {f"obeaver {provider}": provider for provider in bench.providers}
    ours = next(iter(servers))
    what = f"embeddings, {NUM_CLIENTS} clients, {MIN_TOKENS} to {MAX_TOKENS} tokens"
    throughput = [
        Metric("embed.texts", what, "texts/s"),
        Metric("embed.rate", what, "tok/s"),
        Metric("embed.latency_p50", f"{what}, latency p50", "ms", higher_is_better=False),
        Metric("embed.latency_p99", f"{what}, latency p99", "ms", higher_is_better=False),
    ]
    in_process = [BARE, *(bench.options.embedding_peers[3] if bench.options.embedding_peers else ())]
    measures = {name: setting.over_http(provider) for name, provider in servers.items()}
    measures |= {name: setting.loop(name) for name in in_process}
    yield Question("embed", "embeddings", throughput, measures, ours)
    short = Metric("embed-short.latency", "embeddings, one short text, idle server", "ms", higher_is_better=False)
    measures = {name: setting.short(provider) for name, provider in servers.items()} | {BARE: setting.short_bare}
    yield Question("embed-short", "embeddings", [short], measures, ours)


def make_texts(tokenizer: Tokenizer, count: int) -> list[str]:
    """Texts whose lengths in tokens are spread evenly over the logarithm: as many short ones as long ones."""
    rng = random.Random(7)
    texts = []
    for _ in range(count):
        length = round(MIN_TOKENS * (MAX_TOKENS / MIN_TOKENS) ** rng.random())
        words = rng.choices(WORDS, k=length)
        while len(tokenizer.encode_inputs([" ".join(words)])[0].ids) > length:
            words.pop()
        texts.append(" ".join(words))
    return texts


@dataclass(slots=True)
class _Setting:
    """Server, texts and peers, made when they are first needed."""

    bench: Bench
    stored: Callable[[], StoredModel]
    num_texts: int
    texts: list[str] = field(default_factory=list)
    num_tokens: int = 0
    _model: StoredModel | None = None
    _servers: dict[str, Server] = field(default_factory=dict)
    _peers: dict[str, "Peer"] = field(default_factory=dict)

    def over_http(self, provider: str) -> Measure:
        """All texts from all clients."""

        def measure() -> Mapping[str, float]:
            server = self._running(provider)
            begin = time.perf_counter()
            latencies_s = self.bench.limit.run(_all_texts(server.url, self.texts))
            spent_s = time.perf_counter() - begin
            return self._rates(spent_s) | {
                "embed.latency_p50": 1000 * percentile(latencies_s, 0.5),
                "embed.latency_p99": 1000 * percentile(latencies_s, 0.99),
            }

        return measure

    def loop(self, name: str) -> Measure:
        """The same texts in another process."""
        return lambda: self._rates(self._peer(name).run())

    def short(self, provider: str) -> Measure:
        """One short text over HTTP, again and again."""
        return lambda: {"embed-short.latency": 1000 * _one_by_one(self._running(provider).url)}

    def short_bare(self) -> Mapping[str, float]:
        """The same in a bare session."""
        peer = self._peer("short")
        return {"embed-short.latency": 1000 * statistics.median(peer.run() for _ in range(60))}

    def _rates(self, spent_s: float) -> dict[str, float]:
        return {"embed.texts": len(self.texts) / spent_s, "embed.rate": self.num_tokens / spent_s}

    def _prepared(self) -> StoredModel:
        if self._model is None:
            self._model = self.stored()
            tokenizer = Tokenizer.from_folder(self._model.folder)
            self.texts = make_texts(tokenizer, self.num_texts)
            self.num_tokens = sum(len(item.ids) for item in tokenizer.encode_inputs(self.texts))
        return self._model

    def _running(self, provider: str) -> Server:
        if provider not in self._servers:
            folder = str(self._prepared().folder)
            flags = ["--threads", str(self.bench.options.threads), "--max-input-tokens", str(MAX_TOKENS)]
            flags += ["--provider", provider]
            start = obeaver(folder, *flags, command="serve-embed", timeout_s=self.bench.limit.left_s)
            self._servers[provider] = self.bench.stack.enter_context(start)
        return self._servers[provider]

    def _peer(self, name: str) -> "Peer":
        if name not in self._peers:
            stored = self._prepared()
            given = self.bench.options.embedding_peers
            python, folder, graph = sys.executable, stored.folder, stored.folder / "model.onnx"
            if name not in (BARE, "short") and given:
                python, folder = given[0], Path(given[1]).resolve()
                graph = folder / given[2]
            contender = "bare" if name in (BARE, "short") else name
            texts = [SHORT] if name == "short" else self.texts
            peer = Peer(python, contender, folder, graph, self.bench.options.threads, texts)
            self._peers[name] = self.bench.stack.enter_context(peer)
        return self._peers[name]


async def _all_texts(url: str, texts: Sequence[str]) -> list[float]:
    """Each text's latency, seconds."""
    connections = [KeepAliveClient(url) for _ in range(NUM_CLIENTS)]
    idle = list(connections)

    async def send(index: int) -> None:
        connection = idle.pop()
        await _embed(connection, texts[index])
        idle.append(connection)

    for connection in connections:
        await connection.open()
    try:
        return [sent.latency_s for sent in await closed_loop(NUM_CLIENTS, len(texts), send)]
    finally:
        for connection in connections:
            await connection.close()


def _one_by_one(url: str) -> float:
    """Median seconds of one short request on a connection that stands."""

    def seconds() -> float:
        begin = time.perf_counter()
        _vector(connection.post("/v1/embeddings", _body(SHORT)))
        return time.perf_counter() - begin

    with BlockingClient(url) as connection:
        return statistics.median(seconds() for _ in range(60))


async def _embed(connection: KeepAliveClient, text: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return _vector(await connection.post("/v1/embeddings", _body(text)))


def _body(text: str) -> Mapping[str, str]:
    return {"input": text, "encoding_format": "base64"}


def _vector(answer: Any) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), np.float32)


class Peer:
    """A contender of `contenders/embedding_peers.py` in a process of its own."""

    def __init__(self, python: str, name: str, folder: Path, graph: Path, threads: int, texts: Sequence[str]) -> None:
        script = Path(__file__).parent.parent / "contenders" / "embedding_peers.py"
        command = [python, str(script), name, str(folder), str(graph), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps(list(texts)))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def run(self) -> float:
        """Seconds that one run took.

        Raises:
            ContenderFailed: Its process has ended.
        """
        self._say("run")
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed("its process has ended")
        return float(line)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            raise ContenderFailed("its process has ended") from None
