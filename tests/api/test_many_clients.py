"""Many clients at once, some of them broken: each gets what is his, and the others do not notice."""

import asyncio
import json
import resource
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

from support.server import Connection, connect
from support.server import serve as listening

CHAT: Final = "/v1/chat/completions"
USER: Final = [{"role": "user", "content": "Hi"}]
Serve = Callable[..., AbstractAsyncContextManager[Any]]

MAX_ROWS: Final = 8
MAX_QUEUE: Final = 64
NUM_REQUESTS: Final = 200
NUM_HALF_OPEN: Final = 500
BODY: Final = json.dumps({"messages": USER, "max_tokens": 3, "ignore_eos": True}).encode()
JSON: Final = "Content-Type: application/json"


async def status_of(port: int) -> tuple[int, bytes]:
    async with connect(port) as connection:
        await connection.post(CHAT, BODY, JSON, "Connection: close")
        return await connection.response()


async def test_of_many_requests_as_many_are_refused_as_the_queue_has_no_room_for(serve: Serve) -> None:
    gate = threading.Event()

    def hold(_num_runs: int) -> bool:
        gate.wait(120)
        return False

    async with serve(lambda _prompt: None, fails=hold, max_queue=MAX_QUEUE) as served, listening(served.app) as port:
        requests = [asyncio.ensure_future(status_of(port)) for _ in range(NUM_REQUESTS)]
        refused: list[tuple[int, bytes]] = []
        for request in asyncio.as_completed(requests):
            refused.append(await request)
            if len(refused) == NUM_REQUESTS - MAX_ROWS - MAX_QUEUE:
                break
        async with connect(port) as connection:
            await connection.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await connection.response())[0] == 200
        gate.set()
        answers = await asyncio.gather(*requests)
    assert Counter(status for status, _ in refused) == {429: NUM_REQUESTS - MAX_ROWS - MAX_QUEUE}
    assert Counter(status for status, _ in answers) == {429: len(refused), 200: MAX_ROWS + MAX_QUEUE}
    for status, body in answers:
        if status == 200:
            assert json.loads(body)["usage"]["completion_tokens"] == 3


async def test_half_open_connections_and_slow_senders_are_not_noticed_by_others(serve: Serve) -> None:
    _allow_sockets(2 * NUM_HALF_OPEN + 100)
    async with serve(lambda _prompt: None) as served, listening(served.app) as port, AsyncExitStack() as stack:
        half_open: list[Connection] = []
        for number in range(NUM_HALF_OPEN):
            connection = await stack.enter_async_context(connect(port))
            half_open.append(connection)
            if number % 3 == 1:
                await connection.send("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.")
            elif number % 3 == 2:
                await connection.send(f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{{")
        for _ in range(20):
            assert (await status_of(port))[0] == 200
            for connection in half_open[2::51]:
                await connection.send("x")
        async with connect(port) as connection:
            await connection.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await connection.response())[0] == 200


def _allow_sockets(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
