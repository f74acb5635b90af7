"""How fast does obeaver embed over HTTP, beside a bare onnxruntime loop, fastembed and sentence-transformers?

    python -m benchmarks.embeddings                              # obeaver and the bare loop
    python -m benchmarks.embeddings --peer-python venv/bin/python --peer-folder FOLDER --peer-onnx onnx/model.onnx

The peers run in an environment of their own, on an ONNX export of the same weights (FOLDER holds it, with the
tokenizer), and get the batch size that suits them best. obeaver gets 16 clients that send one text a request. Everybody
computes the same texts of 8 to 512 tokens with the same number of threads, in turns, round by round; ratios are medians
of the rounds' own ratios.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks import environment, report, servers
from benchmarks.http_keep_alive import KeepAliveClient
from obeaver.config import load_settings
from obeaver.models.progress import TerminalProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store, StoredModel
from obeaver.text.tokenizer import Tokenizer

NUM_CLIENTS = 16
MIN_TOKENS, MAX_TOKENS = 8, 512
SHORT = "How do beavers build their dams?"
WORDS = (
    "river water beaver dam tree branch night winter lodge family stream forest pond mud stone work build repair swim "
    "quickly slowly together under above before after because although while the a of to in and with for from by"
).split()


def main() -> int:
    """Measure, print, write JSON."""
    arguments = _parse()
    stored = _stored(arguments.model, arguments.weights)
    texts = make_texts(Tokenizer.from_folder(stored.folder), arguments.texts)
    num_tokens = sum(len(item.ids) for item in Tokenizer.from_folder(stored.folder).encode_inputs(texts))
    throughput = report.Row(f"{NUM_CLIENTS} clients, {MIN_TOKENS} to {MAX_TOKENS} tokens", "tok/s")
    latency = report.Row("one short text, idle server", "ms", higher_is_better=False)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_server(stored, arguments.threads))
        peers = {name: stack.enter_context(peer) for name, peer in _peers(arguments, stored, texts)}
        for counted in tqdm([False] + [True] * arguments.rounds, unit="round", leave=False):
            values = {"obeaver": asyncio.run(over_http(url, texts))} | {
                name: peer.run() for name, peer in peers.items()
            }
            for name, seconds in values.items() if counted else ():
                throughput.values.setdefault(name, []).append(num_tokens / seconds)
        short = stack.enter_context(
            Peer(sys.executable, "bare", stored.folder, _graph(stored), arguments.threads, [SHORT])
        )
        for counted in [False] + [True] * arguments.rounds:
            values = {
                "obeaver": asyncio.run(one_by_one(url)),
                "bare": statistics.median(short.run() for _ in range(50)),
            }
            for name, seconds in values.items() if counted else ():
                latency.values.setdefault(name, []).append(1000 * seconds)
    rows = [throughput, latency]
    report.print_table(rows, "obeaver")
    out = Path(arguments.out) / "embeddings.json"
    report.write_json(out, __doc__.splitlines()[0], environment.describe(_graph(stored)), rows)
    tqdm.write(f"written: {out}")
    return 0


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


async def over_http(url: str, texts: Sequence[str]) -> float:
    """Seconds that all clients together need."""
    queue = iter(texts)

    async def client() -> None:
        async with KeepAliveClient(url) as connection:
            for text in queue:
                vector = await _embed(connection, text)
                assert len(vector) == 384

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(NUM_CLIENTS)))
    return time.perf_counter() - start


async def one_by_one(url: str) -> float:
    """Median seconds of one short request on a connection that stands."""
    seconds = []
    async with KeepAliveClient(url) as connection:
        for _ in range(60):
            start = time.perf_counter()
            await _embed(connection, SHORT)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


async def _embed(connection: KeepAliveClient, text: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    answer = await connection.post("/v1/embeddings", {"input": text, "encoding_format": "base64"})
    return np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), np.float32)


class Peer:
    """A contender in a process of its own."""

    def __init__(self, python: str, name: str, folder: Path, graph: Path, threads: int, texts: Sequence[str]) -> None:
        script = Path(__file__).with_name("embedding_peers.py")
        command = [python, str(script), name, str(folder), str(graph), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps(list(texts)))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def run(self) -> float:
        """Seconds that one run took."""
        self._say("run")
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the contender has ended")
        return float(line)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def _peers(arguments: argparse.Namespace, stored: StoredModel, texts: Sequence[str]) -> Iterator[tuple[str, Peer]]:
    threads = arguments.threads
    yield "bare", Peer(sys.executable, "bare", stored.folder, _graph(stored), threads, texts)
    if not arguments.peer_python:
        return
    folder = Path(arguments.peer_folder).resolve()
    graph = folder / arguments.peer_onnx
    for label, name in (("bare, export", "bare"), *zip(arguments.peer, arguments.peer, strict=True)):
        yield label, Peer(arguments.peer_python, name, folder, graph, threads, texts)


@contextlib.contextmanager
def _server(stored: StoredModel, threads: int) -> Iterator[str]:
    options = ["--threads", str(threads), "--max-input-tokens", str(MAX_TOKENS)]
    with servers.obeaver(str(stored.folder), *options, command="serve-embed") as server:
        yield server.url


def _stored(model: str, weights: str | None) -> StoredModel:
    store = Store(load_settings({}, os.environ).home)
    return ensure_model(model, store, progress=TerminalProgress(), weights=weights)


def _graph(stored: StoredModel) -> Path:
    return stored.folder / "model.onnx"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.embeddings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="all-minilm-l6-v2", help="model that obeaver serves")
    parser.add_argument("--weights", choices=("fp32", "int8"), help="format of its weights")
    parser.add_argument("--texts", type=int, default=160, help="texts of a run (default 160)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender (default 5)")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--peer-python", help="interpreter of an environment that has the peers")
    parser.add_argument("--peer-folder", help="folder with tokenizer and ONNX export for the peers")
    parser.add_argument("--peer-onnx", default="onnx/model.onnx", help="the export, below that folder")
    parser.add_argument(
        "--peer", action="append", default=[], help="fastembed or sentence-transformers; may be repeated"
    )
    parser.add_argument("--out", default="benchmarks/out", help="folder for JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
