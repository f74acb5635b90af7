"""Those who are served while somebody sends what he should not: four readers of streams, and a prober of `/health`."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from support.hostile_bodies import CHAT
from support.server import Connection, connect

NUM_STREAMS = 4
_PROBE_EVERY_S = 0.005
_TEXT = re.compile(rb'"content":"[^"]')


@dataclass(slots=True)
class Worst:
    """The longest waits since it was last asked.

    Attributes:
        health_s: Of `/health`, from the question to the answer.
        gap_s: Of a stream, from one piece of its text to the next.
    """

    health_s: float = 0.0
    gap_s: float = 0.0


@dataclass(slots=True)
class Bystanders:
    """They, and what they saw."""

    port: int
    worst: Worst = field(default_factory=Worst)
    num_chunks: int = 0
    num_begun: int = 0

    def begin(self) -> None:
        """Forget what was seen."""
        self.worst = Worst()

    async def probe(self) -> None:
        """Ask for `/health` again and again."""
        async with connect(self.port) as connection:
            while True:
                asked_s = time.perf_counter()
                await connection.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                await connection.response()
                self.worst.health_s = max(self.worst.health_s, time.perf_counter() - asked_s)
                await asyncio.sleep(_PROBE_EVERY_S)

    async def read(self) -> None:
        """Read one stream after the other.

        All have text for each token, since one without would look like a long wait; and they end one by one.
        """
        while True:
            self.num_begun += 1
            body = {"messages": [{"role": "user", "content": f"Tell a story about the number {self.num_begun}."}]}
            sent = json.dumps(
                {**body, "stream": True, "temperature": 0, "max_tokens": 200 + 50 * (self.num_begun % NUM_STREAMS)}
            ).encode()
            async with connect(self.port) as connection:
                await connection.post(CHAT, sent, "Content-Type: application/json")
                await self._read_chunks(connection)

    async def _read_chunks(self, connection: Connection) -> None:
        last_s: float | None = None
        while part := await connection.reader.read(65536):
            now_s = time.perf_counter()
            if last_s is not None:
                self.worst.gap_s = max(self.worst.gap_s, now_s - last_s)
                self.num_chunks += 1
            last_s = now_s if _TEXT.search(part) else last_s
            if b"[DONE]" in part:
                return


def send(port: int, path: str, body: bytes) -> int:
    """Send a body, and read its answer to the end; the status. Takes a while: for a thread."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=300) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):  # who is refused is not read to the end
            client.sendall(body)
        status = client.recv(12)
        while client.recv(1 << 20):
            pass
    return int(status.split()[1])


@contextlib.asynccontextmanager
async def standing_by(port: int) -> AsyncIterator[Bystanders]:
    """Bystanders for the length of the block, all streams under way."""
    watched = Bystanders(port)
    tasks = [asyncio.create_task(watched.read()) for _ in range(NUM_STREAMS)]
    tasks.append(asyncio.create_task(watched.probe()))
    try:
        while watched.num_chunks < 20 * NUM_STREAMS:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.05)
        watched.begin()
        yield watched
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
