"""Everything at once: what clients count is what the server counts, every request ends, and nothing is left behind.

By default a short run over small models. `make soak` makes it a long one over real models (`OBEAVER_SOAK_SECONDS`),
which also holds the memory.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from support.chat_app import make_model
from support.mixed_load import Client, Sizes, Tally, exchange
from support.scraped import Read, scraped_text
from support.server_process import ServerProcess, serve
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import import_file
from obeaver.models.store import Store

SECONDS = float(os.environ.get("OBEAVER_SOAK_SECONDS", "0"))
IS_LONG = SECONDS > 0
NUM_CLIENTS = 10
NUM_THINGS = 60
"""Of the short run, all clients together."""

WARM_UP = 0.35
"""Of the long run's time: caches fill, the allocator finds its size."""
MOST_GROWTH = 1.05

MODELS = ("first", "second")
SMALL = Sizes(words=4, long_words=12, too_many_words=300, max_tokens=24, pause_s=0.05)
REAL = Sizes(words=40, long_words=900, too_many_words=20_000, max_tokens=120, pause_s=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A store with two chat models."""
    home = tmp_path_factory.mktemp("soak") / "home"
    for seed, (name, weights) in enumerate(zip(MODELS, ("int8", "int4"), strict=True)):
        if IS_LONG:
            gguf = request.getfixturevalue("default_gguf")
            import_file(gguf, Store(home), name=name, weights=weights, progress=SilentProgress())
        else:
            make_model(Store(home), name, seed=seed)
    return home


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an embedding model."""
    folder = tmp_path_factory.mktemp("encoder")
    source = write_sentence_transformer(folder / "source", bert_weights(), bert_config())
    (folder / "tiny-bert").mkdir()
    import_encoder(source, folder / "tiny-bert", weights="fp32", name="tiny-bert", progress=SilentProgress())
    return folder / "tiny-bert"


@dataclass
class Watched:
    """A server and what was seen of it while it was loaded."""

    server: ServerProcess
    resident_bytes: list[tuple[float, int]] = field(default_factory=list)

    def metrics(self) -> Read:
        return scraped_text(httpx.get(self.server.url + "/metrics", timeout=600).text)

    def look(self) -> None:
        self.resident_bytes.append((time.monotonic(), psutil.Process(self.server.process.pid).memory_info().rss))

    def handles(self) -> tuple[int, int]:
        """Descriptors and threads."""
        process = psutil.Process(self.server.process.pid)
        return process.num_fds(), process.num_threads()

    def growth(self) -> float:
        """The memory at the end, by that after the warm-up: medians of a tenth of the time each."""
        began, ended = self.resident_bytes[0][0], self.resident_bytes[-1][0]

        def median_from(share: float) -> float:
            start = began + (ended - began) * share
            return statistics.median(
                size for at, size in self.resident_bytes if start <= at <= start + (ended - began) * 0.1
            )

        return median_from(0.9) / median_from(WARM_UP)


@pytest.fixture(scope="module")
def servers(home: Path, encoder: Path) -> Iterator[tuple[Watched, Watched]]:
    """The chat server, with few places to wait at, and the embedding server."""
    # Models are exchanged without a pause: on a slow machine most answers would be ended by the next load.
    few = ("--max-rows", "4", "--max-queue", "3", "--no-store-responses", "--shutdown-timeout", "120")
    words = ("first", "--home", str(home), "--offline", "--threads", "1", "--prefix-cache-mb", "32", *few)
    with ExitStack() as stack:
        chat = stack.enter_context(serve(*words, "--kv-cache-mb", "256"))
        embed = stack.enter_context(serve(str(encoder), "--offline", "--threads", "1", command="serve-embed"))
        yield Watched(chat), Watched(embed)


async def load(chat: Watched, embed: Watched, tally: Tally, goes_on: Callable[[], bool]) -> None:
    sizes = REAL if IS_LONG else SMALL
    clients = [Client(chat.server.url, embed.server.url, sizes, tally, seed) for seed in range(NUM_CLIENTS)]
    working = [asyncio.create_task(client.run(goes_on)) for client in clients]
    working.append(asyncio.create_task(exchange(chat.server.url, MODELS, tally, goes_on)))
    while any(not task.done() for task in working):
        chat.look()
        embed.look()
        await asyncio.wait(working, timeout=1)
    await asyncio.gather(*working)


def until_still(watched: Watched, handles: tuple[int, int]) -> None:
    """Wait until nobody computes, and no more descriptors and threads are there than before."""
    give_up = time.monotonic() + 120
    while True:
        # In this order: the connection of the last look is closed by now.
        now, read = watched.handles(), watched.metrics()
        busy = sum(read(name) for name in ("vllm:num_requests_running", "vllm:num_requests_waiting"))
        if not busy and now[0] <= handles[0] and now[1] <= handles[1]:
            return
        assert time.monotonic() < give_up, f"{busy} sequences; descriptors and threads: {now}, before: {handles}"
        time.sleep(0.2)


@pytest.mark.slow
def test_all_at_once_is_answered_counted_and_cleared_away(servers: tuple[Watched, Watched]) -> None:
    chat, embed = servers
    first, tally = Tally(), Tally()
    asyncio.run(load(chat, embed, first, _so_many(NUM_THINGS // 2)))
    assert first.problems == []
    httpx.get(chat.server.url + "/metrics", timeout=600)
    time.sleep(3)  # connections that nobody uses are closed by now
    before_chat, before_embed, handles = chat.metrics(), embed.metrics(), chat.handles()
    end = time.monotonic() + SECONDS
    asyncio.run(load(chat, embed, tally, (lambda: time.monotonic() < end) if IS_LONG else _so_many(NUM_THINGS)))
    try:
        until_still(chat, handles)
    finally:
        if IS_LONG:
            print(_told(tally, chat, embed, handles))  # noqa: T201  # the figures of a soak are to be read
    assert tally.problems == []
    _compare(tally, before_chat, chat.metrics(), before_embed, embed.metrics())
    if IS_LONG:
        assert max(chat.growth(), embed.growth()) <= MOST_GROWTH


def _told(tally: Tally, chat: Watched, embed: Watched, handles: tuple[int, int]) -> str:
    read, name = chat.metrics(), "obeaver_event_loop_lag_seconds"
    late = read(f"{name}_count") - read(f"{name}_bucket", le="0.05")
    return "\n".join(
        (
            f"\n{sum(tally.answers.values())} answers, {tally.sequences} of them computed, {tally.left} streams left",
            f"{tally.exchanged} ended by an exchange; the longest took {tally.longest_s:.0f} s",
            f"by route and status: {dict(tally.answers)}",
            f"errors: {dict(tally.errors)}",
            *(f"PROBLEM: {problem}" for problem in tally.problems),
            f"memory grew by {chat.growth() - 1:.2%} (chat), {embed.growth() - 1:.2%} (embed)",
            f"descriptors and threads: {handles} before, {chat.handles()} after",
            f"{late:.0f} of {read(f'{name}_count'):.0f} looks at the event loop were more than 50 ms late",
        )
    )


def _so_many(number: int) -> Callable[[], bool]:
    left = iter(range(number))
    return lambda: next(left, None) is not None


def _compare(tally: Tally, *scrapes: Read) -> None:
    before_chat, after_chat, before_embed, after_embed = scrapes

    def grown(name: str, **labels: str) -> float:
        return _grown(before_chat, after_chat, name, **labels)

    for (route, status), number in tally.answers.items():
        of_embed = route == "/v1/embeddings"
        before, after = (before_embed, after_embed) if of_embed else (before_chat, after_chat)
        counted = _grown(before, after, "http_requests_total", handler=route, code=str(status))
        assert counted == number, f"{route} {status}: {counted} counted, {number} answered"
    ended = {
        reason: grown("vllm:request_success_total", finished_reason=reason)
        for reason in ("stop", "length", "abort", "error")
    }
    assert sum(ended.values()) == tally.sequences
    # Who left when the last token was there already has left a whole answer; who left a little before its model did, an
    # error.
    assert ended["abort"] <= tally.left
    assert tally.exchanged <= ended["error"] <= tally.exchanged + tally.left - ended["abort"]
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds"):
        assert grown(f"vllm:{name}_count") <= tally.sequences
    assert grown("vllm:request_generation_tokens_sum") <= grown("vllm:generation_tokens_total")
    assert _grown(before_embed, after_embed, "obeaver_texts_total") == tally.texts
    assert _grown(before_embed, after_embed, "obeaver_texts_failed_total") == 0
    for code, number in tally.errors.items():
        assert grown("obeaver_errors_total", code=code) >= number


def _grown(before: Read, after: Read, name: str, **labels: str) -> float:
    return after(name, **labels) - before(name, **labels, missing=0.0)
