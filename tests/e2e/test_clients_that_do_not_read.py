"""Clients that ask for much and read nothing: they get no more than a bounded part of it, and others get their rows."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from support import asgi
from support.chat_app import ServedChat, make_model, serving
from support.server import serve

from obeaver.cli.http_protocol import HttpProtocol
from obeaver.models.store import Store

CHAT: Final = "/v1/chat/completions"
NUM_CLIENTS: Final = 6
NUM_TOKENS: Final = 900
LONG: Final = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": NUM_TOKENS,
    "ignore_eos": True,
    "logprobs": True,
    "top_logprobs": 20,
    "seed": 7,
    "temperature": 1.0,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_model(Store(home), "small", context=2048, kv="int8")
    return home


@asynccontextmanager
async def listening(home: Path, *, write_timeout_s: float) -> AsyncIterator[tuple[ServedChat, int]]:
    """A server of two rows on a port of its own."""
    limits = HttpProtocol.with_limits(receive_timeout_s=60, write_timeout_s=write_timeout_s)
    async with serving(home, "small", max_rows=2, max_unsent_kb=20) as served, serve(served.app, limits) as port:
        yield served, port


def ask(port: int, **body: Any) -> socket.socket:
    """Ask, and read nothing: the kernel takes little for the client too."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    sent = json.dumps(LONG | {"stream": True} | body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    client.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
    return client


def all_of(client: socket.socket) -> bytes:
    """Everything that is still to come."""
    return b"".join(_parts(client))


def _parts(client: socket.socket) -> Iterator[bytes]:
    client.settimeout(120)
    try:
        while part := client.recv(1 << 16):
            yield part
    except ConnectionError:
        return


def text_of(stream: bytes) -> str:
    """The content of a stream that came in chunks of HTTP."""
    return "".join(
        json.loads(found) for found in re.findall(r'"delta":\{"content":("(?:\\.|[^"\\])*")', stream.decode())
    )


async def figures(served: ServedChat) -> tuple[int, int]:
    """Sequences that are computed, and those that stand still."""
    text = (await asgi.request(served.app, "GET", "/metrics")).body.decode()
    named = dict(re.findall(r"^([\w:]+)\{[^}]*\} (\d+)", text, re.MULTILINE))
    return int(named["vllm:num_requests_running"]), int(named["obeaver_sequences_paused"])


async def num_aborted(served: ServedChat) -> int:
    """Answers that nobody wants any more."""
    text = (await asgi.request(served.app, "GET", "/metrics")).body.decode()
    found = re.search(r'^vllm:request_success_total\{finished_reason="abort"[^}]*\} (\d+)', text, re.MULTILINE)
    return 0 if found is None else int(found[1])


async def reach(served: ServedChat, num_running: int, num_paused: int) -> None:
    """Wait until they are so many."""
    async with asyncio.timeout(120):
        while await figures(served) != (num_running, num_paused):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.02)


async def test_who_does_not_read_stands_still_and_gets_the_same_text_when_he_does(home: Path) -> None:
    async with listening(home, write_timeout_s=300) as (served, port):
        alone = (await asgi.request(served.app, "POST", CHAT, data=LONG)).json()["choices"][0]["message"]["content"]
        with ExitStack() as stack:
            clients = [stack.enter_context(ask(port)) for _ in range(NUM_CLIENTS)]
            await reach(served, 0, NUM_CLIENTS)
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "ignore_eos": True}
            newcomer = await asgi.request(served.app, "POST", CHAT, data=body)
            assert newcomer.json()["usage"]["completion_tokens"] == 5
            streams = await asyncio.gather(*(asyncio.to_thread(all_of, client) for client in clients))
    for stream in streams:
        assert text_of(stream) == alone
        assert b"data: [DONE]" in stream


async def test_who_reads_nothing_for_too_long_is_cut_off_and_finds_out_why(home: Path) -> None:
    async with listening(home, write_timeout_s=10) as (served, port):
        with ExitStack() as stack:
            clients = [stack.enter_context(ask(port)) for _ in range(2)]
            while await num_aborted(served) < len(clients):  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.02)
            streams = await asyncio.gather(*(asyncio.to_thread(all_of, client) for client in clients))
    for stream in streams:
        last = [line for line in stream.split(b"\n") if line.startswith(b"data: {")][-1]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "write_timeout"
    assert max(map(len, streams)) < 1_000_000
