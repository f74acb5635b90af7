"""Careless clients against real servers, with figures: `python tests/soak_clients.py [SCALE]`, a part of `make soak`.

Twenty clients that read nothing; then hostile bodies, each beside four streams that are read and a prober of `/health`.
It fails where a body gets a wrong status, where a client that reads nothing is not cut off with its error or makes a
newcomer wait longer than one that reads, or where memory does not come back to within a tenth of what it was. What a
server keeps of prompts is left out of that, and so is what it loads at first use: each kind of body comes once before,
in little. Other figures are told, and not judged: they depend on the machine and on who else works there. SCALE 1 sends
bodies as long as the limits allow.
"""

import asyncio
import json
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

TESTS = Path(__file__).parent
NUM_CLIENTS: Final = 20
NUM_TIMED: Final = 400
COMES_BACK_S: Final = 10.0
WARM_UP_SCALE: Final = 0.0001
WRITE_TIMEOUT_S: Final = 120
USUAL_S: Final = 15
PATIENCE_S: Final = 900
LONG: Final = {
    "messages": [{"role": "user", "content": "Tell a story."}],
    "max_tokens": 800,
    "ignore_eos": True,
    "logprobs": True,
    "top_logprobs": 20,
    "stream": True,
}
TIMED: Final = {
    "messages": LONG["messages"],
    "max_tokens": NUM_TIMED,
    "ignore_eos": True,
    "stream": True,
    "temperature": 0,
}
CUT_OFF: Final = r"obeaver_errors_total\{code=\"write_timeout\"\}"
SHORT: Final = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "ignore_eos": True}


class Server:
    """A server that runs, and what is wrong with it."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.pid = pid
        self.problems: list[str] = []

    @property
    def rss_mb(self) -> float:
        """Its memory, what it keeps of prompts for later ones left out: that has a budget, and is wanted."""
        kept = self.metric("obeaver_prefix_cache_bytes", "obeaver_kv_used_bytes")
        return (psutil.Process(self.pid).memory_info().rss - kept) / 1e6

    def metric(self, *patterns: str) -> float:
        """The sum of all series whose line begins like one of these, at one moment."""
        text = httpx.get(f"{self.url}/metrics", timeout=PATIENCE_S).text
        names = "|".join(patterns)
        return sum(map(float, re.findall(rf"^(?:{names})(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)))

    def must_shrink_to(self, before_mb: float, after_what: str) -> None:
        """See that memory is back in time."""
        end_s, peak_mb = time.monotonic() + COMES_BACK_S, self.rss_mb
        while (now_mb := self.rss_mb) > 1.1 * before_mb and time.monotonic() < end_s:
            time.sleep(0.2)
        tell(f"memory: {before_mb:.0f} MB before {after_what}, {peak_mb:.0f} behind it, {now_mb:.0f} when it was back")
        if now_mb > 1.1 * before_mb:
            self.problems.append(f"{now_mb:.0f} MB after {after_what}, {before_mb:.0f} before")


def tell(line: str) -> None:
    """Say it now."""
    print(line, flush=True)  # noqa: T201  # figures are to be read


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Whether it was so before patience ended."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.2)
    return True


def ask(port: int, body: dict[str, Any]) -> socket.socket:
    """Ask, and read nothing: the kernel takes little for the client too."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_S)
    client.connect(("127.0.0.1", port))
    sent = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    client.sendall(f"{head}Connection: close\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
    return client


def read_to_the_end(client: socket.socket) -> bytes:
    """What still came."""
    parts: list[bytes] = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def newcomer_s(port: int) -> float:
    """Seconds for a short answer."""
    begun_s = time.perf_counter()
    with ask(port, SHORT) as client:
        read_to_the_end(client)
    return time.perf_counter() - begun_s


def tokens_per_s(port: int) -> float:
    """The speed of one stream that is read, the same text each time: the median of several."""

    def once() -> float:
        begun_s = time.perf_counter()
        with ask(port, TIMED) as client:
            read_to_the_end(client)
        return NUM_TIMED / (time.perf_counter() - begun_s)

    return statistics.median(once() for _ in range(5))


async def hostile_beside_bystanders(server: Server, scale: float) -> None:
    """All hostile bodies of a chat server, one after the other."""
    from support.bystanders import send, standing_by
    from support.hostile_bodies import hostile_chats

    for hostile in hostile_chats():
        await asyncio.to_thread(send, server.port, hostile.path, hostile.body(WARM_UP_SCALE))
    async with standing_by(server.port) as others:
        await asyncio.sleep(USUAL_S)
        usual = others.worst
    tell(f"usual: /health within {usual.health_s * 1e3:.0f} ms, a stream's gap {usual.gap_s * 1e3:.0f} ms")
    # Without streams, as it is measured in the end: the room that rows have counts as used, and is not touched yet.
    await asyncio.sleep(COMES_BACK_S)
    before_mb = await asyncio.to_thread(lambda: server.rss_mb)
    async with standing_by(server.port) as others:
        for hostile in hostile_chats():
            body = hostile.body(scale)  # here: a thread that makes it would keep those who are watched from reading
            await asyncio.sleep(0.5)
            others.begin()
            status = await asyncio.to_thread(send, server.port, hostile.path, body)
            worst = others.worst
            tell(
                f"{hostile.name:45} {status}  /health {worst.health_s * 1e3:6.0f} ms  "
                f"gap {worst.gap_s * 1e3:6.0f} ms ({worst.gap_s / usual.gap_s:.1f} x)"
            )
            if status not in (200, 400, 413):
                server.problems.append(f"{hostile.name}: {status}")
    await asyncio.to_thread(server.must_shrink_to, before_mb, "hostile bodies")


def hostile_texts(server: Server, scale: float) -> None:
    """All hostile bodies of an embedding server."""
    from support.bystanders import send
    from support.hostile_bodies import hostile_embeddings

    # The runtime keeps what its largest batch takes, whoever sent that.
    httpx.post(f"{server.url}/v1/embeddings", json={"input": ["word " * 250] * 64}, timeout=PATIENCE_S)
    time.sleep(5)
    before_mb = server.rss_mb
    for hostile in hostile_embeddings():
        status = send(server.port, hostile.path, hostile.body(scale))
        tell(f"{hostile.name:45} {status}  {server.rss_mb:6.0f} MB")
        if status not in (200, 400, 413):
            server.problems.append(f"{hostile.name}: {status}")
    server.must_shrink_to(before_mb, "hostile texts")


def clients_that_do_not_read(server: Server) -> None:
    """Twenty of them, and a newcomer beside; then the same beside twenty that read."""
    with ask(server.port, LONG) as client:
        read_to_the_end(client)
    time.sleep(5)
    before_mb, alone_s, alone_speed = server.rss_mb, newcomer_s(server.port), tokens_per_s(server.port)
    with ExitStack() as stack:
        clients = [stack.enter_context(ask(server.port, LONG)) for _ in range(NUM_CLIENTS)]
        # On a slow machine the first of them are cut off before the last one stands still.
        if not wait_until(lambda: server.metric("obeaver_sequences_paused", CUT_OFF) == NUM_CLIENTS):
            server.problems.append("not all of those who do not read stand still")
        tell(f"{NUM_CLIENTS} that read nothing stand still: {server.rss_mb - before_mb:+.0f} MB")
        beside_s, beside_speed = newcomer_s(server.port), tokens_per_s(server.port)
        if not wait_until(lambda: server.metric(CUT_OFF) == NUM_CLIENTS):
            server.problems.append("not all of those who do not read were cut off")
        unread = [read_to_the_end(client) for client in clients]
    if num_untold := sum(b'"write_timeout"' not in answer[-1000:] for answer in unread):
        server.problems.append(f"{num_untold} of those who were cut off were not told so")
    tell(f"cut off after {WRITE_TIMEOUT_S} s, with at most {max(map(len, unread)) / 1e3:.0f} kB of an answer unread")
    server.must_shrink_to(before_mb, "clients that read nothing")
    with reading(server, NUM_CLIENTS):
        wait_until(lambda: server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting") > 15)
        among_s = newcomer_s(server.port)
    waits = f"{alone_s:.2f} s alone, {beside_s:.2f} beside those, {among_s:.2f} among {NUM_CLIENTS} that read"
    tell(f"a newcomer waits {waits}")
    if beside_s > among_s:
        server.problems.append("a newcomer waits longer beside those who read nothing than among those who read")
    tell(f"a stream gets {beside_speed:.1f} tokens/s beside those, {alone_speed:.1f} alone")


@contextmanager
def reading(server: Server, number: int) -> Iterator[None]:
    """So many clients that read their long answers, until the block ends."""
    from concurrent.futures import ThreadPoolExecutor

    with ExitStack() as stack:
        clients = [stack.enter_context(ask(server.port, LONG)) for _ in range(number)]
        pool = stack.enter_context(ThreadPoolExecutor(number))
        for client in clients:
            pool.submit(read_to_the_end, client)
        yield
        for client in clients:
            client.shutdown(socket.SHUT_RDWR)


def main(scale: float) -> int:
    """Serve, ask, and say what was found; the exit status."""
    from support.server_process import serve

    problems: list[str] = []
    embed, chat = ("--offline",), ("--offline", "--no-store-responses", "--write-timeout", str(WRITE_TIMEOUT_S))
    with serve(*embed, command="serve-embed") as process:
        server = Server(process.url, process.process.pid)
        hostile_texts(server, scale)
        problems += server.problems
    with serve(*chat) as process:
        server = Server(process.url, process.process.pid)
        clients_that_do_not_read(server)
        asyncio.run(hostile_beside_bystanders(server, scale))
        problems += server.problems
    return _verdict(problems)


def _verdict(problems: Iterable[str]) -> int:
    for problem in problems:
        tell(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else 1.0))
