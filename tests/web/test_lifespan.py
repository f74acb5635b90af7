"""Start-up and shutdown, as a server speaks the protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.asgi import request

from obeaver.errors import ModelError
from obeaver.web.lifespan import Lifespan
from obeaver.web.response import TextResponse
from obeaver.web.types import Message

HELLO = TextResponse("hello")


class Server:
    """The server's half of the lifespan protocol."""

    def __init__(self, lifespan: Lifespan) -> None:
        self.sent: list[Message] = []
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self.task = asyncio.create_task(self._run(lifespan))

    async def _run(self, lifespan: Lifespan) -> None:
        await lifespan({"type": "lifespan"}, self._told.get, self._take)

    async def _take(self, message: Message) -> None:
        self.sent.append(message)
        self._answered.set()

    async def tell(self, event: str) -> Message:
        """Send an event and wait for the answer."""
        self._answered.clear()
        self._told.put_nowait({"type": event})
        await asyncio.wait_for(self._answered.wait(), 5)
        return self.sent[-1]


class Parts:
    """Two things that are opened one after the other; either opening or closing can fail."""

    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.log: list[str] = []
        self._failures = failures or {}

    def _do(self, action: str) -> None:
        if action in self._failures:
            raise self._failures[action]
        self.log.append(action)

    @asynccontextmanager
    async def part(self, name: str) -> AsyncIterator[None]:
        self._do(f"open {name}")
        try:
            yield
        finally:
            self._do(f"close {name}")

    @asynccontextmanager
    async def context(self) -> AsyncIterator[None]:
        async with self.part("a"), self.part("b"):
            yield


async def test_parts_are_opened_before_the_first_request_and_closed_in_the_opposite_order() -> None:
    parts = Parts()
    server = Server(Lifespan(HELLO, parts.context))

    assert await server.tell("lifespan.startup") == {"type": "lifespan.startup.complete"}
    assert parts.log == ["open a", "open b"]

    assert await server.tell("lifespan.shutdown") == {"type": "lifespan.shutdown.complete"}
    assert parts.log == ["open a", "open b", "close b", "close a"]
    await server.task


async def test_a_failed_start_says_why_in_one_line_and_closes_what_was_open(caplog: pytest.LogCaptureFixture) -> None:
    error = ModelError("model.onnx is cut off; remove it and start again")
    parts = Parts({"open b": error})
    lifespan = Lifespan(HELLO, parts.context)
    server = Server(lifespan)

    answer = await server.tell("lifespan.startup")

    assert answer == {"type": "lifespan.startup.failed", "message": str(error)}
    assert lifespan.start_error is error
    assert parts.log == ["open a", "close a"]
    assert caplog.records == []
    await server.task


async def test_an_unexpected_error_at_the_start_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(Lifespan(HELLO, Parts({"open a": KeyError("x")}).context))

    answer = await server.tell("lifespan.startup")

    assert answer == {"type": "lifespan.startup.failed", "message": "KeyError: 'x'"}
    assert "Traceback" in caplog.text


async def test_a_failed_stop_is_told_and_the_rest_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts({"close b": RuntimeError("stuck")})
    server = Server(Lifespan(HELLO, parts.context))
    await server.tell("lifespan.startup")

    answer = await server.tell("lifespan.shutdown")

    assert answer == {"type": "lifespan.shutdown.failed", "message": "RuntimeError: stuck"}
    assert parts.log == ["open a", "open b", "close a"]
    assert "stuck" in caplog.text


async def test_a_server_that_is_cancelled_still_closes_the_parts() -> None:
    parts = Parts()
    server = Server(Lifespan(HELLO, parts.context))
    await server.tell("lifespan.startup")

    server.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert parts.log == ["open a", "open b", "close b", "close a"]


async def test_requests_go_to_the_app() -> None:
    lifespan = Lifespan(HELLO, Parts().context)

    assert (await request(lifespan, "GET", "/")).body == b"hello"
    assert lifespan.start_error is None


async def test_a_websocket_is_refused() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Lifespan(HELLO, Parts().context)({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1000}]
