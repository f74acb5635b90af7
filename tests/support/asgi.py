"""An ASGI server in one task: it drives an app message by message, and holds it to the protocol.

Unlike a client over a collected body, it sees each chunk as it is sent, can refuse to take the next one, and can leave.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from obeaver.web.types import ASGIApp, Message, Scope


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    query: str = "",
) -> Scope:
    """A scope as uvicorn makes it.

    Args:
        method: In capitals.
        path: May hold percent escapes; `scope["path"]` gets them decoded.
        headers: A `host` is added where there is none.
        query: Without the question mark.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("host", "127.0.0.1:18000"))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": quote(path, safe="/%:@!$&'()*+,;=~").encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 18000),
        "state": {},
    }


@dataclass
class Reply:
    """What an app has sent so far."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        """All chunks joined."""
        return b"".join(self.chunks)

    def json(self) -> Any:
        """The body's JSON value."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of an error's body."""
        error: dict[str, Any] = self.json()["error"]
        return error


class Exchange:
    """One request to an app that runs beside the test.

    Attributes:
        reply: What was sent, up to now.
        num_body_reads: How many parts of the request's body the app has asked for.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        *front, last = list(parts) or [b""]
        self.reply = Reply()
        self.num_body_reads = 0
        self._requests: list[Message] = [
            *({"type": "http.request", "body": part, "more_body": True} for part in front),
            {"type": "http.request", "body": last, "more_body": False},
        ]
        self._changed = asyncio.Condition()
        self._left = False
        self._writable = asyncio.Event()
        self._writable.set()

    def cut_body(self) -> None:
        """The client will leave before the last part of its body."""
        self._requests.pop()
        self._left = True

    def stop_reading(self) -> None:
        """From now on `send` waits, as it does when the socket's buffer is full."""
        self._writable.clear()

    def read_on(self) -> None:
        """Undo `stop_reading`."""
        self._writable.set()

    async def leave(self) -> None:
        """The client goes: `receive` says so, and what is sent disappears."""
        self._left = True
        self._writable.set()
        async with self._changed:
            self._changed.notify_all()

    async def start(self) -> Reply:
        """Wait until the response has started."""
        return await self._until(lambda: self.reply.status is not None)

    async def chunk(self, index: int) -> bytes:
        """Wait for the chunk of that index, counted from 0."""
        reply = await self._until(lambda: len(self.reply.chunks) > index)
        return reply.chunks[index]

    async def receive(self) -> Message:
        """ASGI's receive."""
        if self._requests:
            self.num_body_reads += 1
            return self._requests.pop(0)
        async with self._changed:
            await self._changed.wait_for(lambda: self._left or self.reply.complete)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        await self._writable.wait()
        if self._left:
            return
        if message["type"] == "http.response.start":
            self._take_start(message)
        else:
            self._take_body(message)
        async with self._changed:
            self._changed.notify_all()

    def _take_start(self, message: Message) -> None:
        assert self.reply.status is None, "the response started twice"
        for name, value in message["headers"]:
            assert isinstance(name, bytes)
            assert isinstance(value, bytes)
            assert name == name.lower()
            assert not set(b"\r\n\0") & set(name + value)
            key, text = name.decode("latin-1"), value.decode("latin-1")
            self.reply.headers[key] = f"{self.reply.headers[key]}, {text}" if key in self.reply.headers else text
        self.reply.status = message["status"]

    def _take_body(self, message: Message) -> None:
        assert message["type"] == "http.response.body"
        assert self.reply.status is not None, "a body before the start"
        assert not self.reply.complete, "a body after the end"
        if message["body"]:
            self.reply.chunks.append(message["body"])
        self.reply.complete = not message.get("more_body", False)

    async def _until(self, condition: Callable[[], bool]) -> Reply:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(condition)
        return self.reply


@asynccontextmanager
async def exchange(
    app: ASGIApp, scope: Scope, parts: Iterable[bytes] = (b"",)
) -> AsyncIterator[tuple[Exchange, asyncio.Task[None]]]:
    """Run an app on one request beside the test; whatever still runs at the end is cancelled.

    Yields:
        The exchange, and the app's task: await it to see the app return or raise.
    """
    running = Exchange(parts)

    async def run() -> None:
        await app(scope, running.receive, running.send)

    task = asyncio.create_task(run())
    try:
        yield running, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def call(app: ASGIApp, scope: Scope, parts: Iterable[bytes] = (b"",)) -> Reply:
    """One request from its beginning to its end; raises what the app raises."""
    async with exchange(app, scope, parts) as (running, task):
        async with asyncio.timeout(30):
            await task
        return running.reply


async def request(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    data: object = None,
) -> Reply:
    """One request with a whole body, or with `data` as its JSON body. `path` may have a query."""
    path, _, query = path.partition("?")
    sent = dict(headers or {})
    if data is not None:
        body = json.dumps(data).encode()
        sent.setdefault("content-type", "application/json")
    if body:
        sent.setdefault("content-length", str(len(body)))
    return await call(app, http_scope(method, path, headers=sent, query=query), [body])
