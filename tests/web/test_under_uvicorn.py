"""The layers under a real server: what only sockets can show."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from support.event_stream import read_events
from support.server import connect, serve

from obeaver.cli.http_protocol import HttpProtocol
from obeaver.web import sse
from obeaver.web.http10 import WholeForHttp10
from obeaver.web.in_flight import Drain, InFlight
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.request import BodyLimits, Request
from obeaver.web.response import JSONResponse, Response
from obeaver.web.router import Route, Router
from obeaver.web.stream import EventStream, run_until_disconnect
from obeaver.web.types import ASGIApp

LIMIT = 100_000

NUM_CHUNKS = 200
"""20 MB in all: more than the buffers between two sockets take."""


class Application:
    """A small application of every layer, with an answer that never ends and one that is huge."""

    def __init__(self, receive_timeout_s: float = 60) -> None:
        self.in_flight = InFlight()
        self.num_chunks = 0
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()
        routes = [
            Route("GET", "/", self.hello),
            Route("POST", "/echo", self.echo),
            Route("POST", "/endless", self.endless),
            Route("POST", "/torrent", self.torrent),
            Route("POST", "/large", self.large),
            Route("POST", "/wait", self.wait),
        ]
        router = Router(routes, limits=BodyLimits(LIMIT, receive_timeout_s=receive_timeout_s))
        layers = RequestId(AccessLog(ErrorBoundary(Drain(router, in_flight=self.in_flight))))
        self.app: ASGIApp = WholeForHttp10(layers)

    async def hello(self, request: Request) -> Response:
        return JSONResponse("hello")

    async def echo(self, request: Request) -> Response:
        self.begun.set()
        return JSONResponse(await request.json())

    async def endless(self, request: Request) -> EventStream:
        await request.body()
        return EventStream(self._chunks(b"", forever=True))

    async def torrent(self, request: Request) -> EventStream:
        await request.body()
        return EventStream(self._chunks(b"x" * 100_000, forever=False))

    async def large(self, request: Request) -> Response:
        await request.body()
        return JSONResponse("x" * NUM_CHUNKS * 100_000)

    async def wait(self, request: Request) -> Response:
        await request.body()
        return await run_until_disconnect(request, self._wait())

    async def _chunks(self, padding: bytes, *, forever: bool) -> AsyncIterator[bytes]:
        try:
            for number in range(NUM_CHUNKS):
                self.num_chunks += 1
                yield sse.event(f"{number} {padding.decode()}")
                if forever:
                    await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def _wait(self) -> Response:
        self.begun.set()
        try:
            await asyncio.Event().wait()
            return JSONResponse(None)
        finally:
            self.closed.set()


async def test_a_client_that_leaves_within_a_stream_is_noticed() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        await client.post("/endless", b"{}")
        await client.until(b"data: 0 \n\n")

        client.abort()

        await asyncio.wait_for(application.closed.wait(), 5)


async def test_a_client_that_leaves_while_it_waits_for_an_answer_is_noticed() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        await client.post("/wait", b"{}")
        await application.begun.wait()

        client.abort()

        await asyncio.wait_for(application.closed.wait(), 5)


async def test_the_first_event_arrives_before_the_second_is_made() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        await client.post("/endless", b"{}")

        head = await client.head()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: text/event-stream; charset=utf-8\r\n" in head
        await client.until(b"data: 0 \n\n")

        assert application.num_chunks == 1
        assert not application.closed.is_set()


async def test_a_reader_that_stops_stops_the_iterator_and_can_still_be_seen_to_leave() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        await client.post("/torrent", b"{}")
        await client.head()
        seen = -1
        while application.num_chunks > seen:
            seen = application.num_chunks
            await asyncio.sleep(0.1)
        assert seen < NUM_CHUNKS

        client.abort()

        await asyncio.wait_for(application.closed.wait(), 5)


async def test_a_slow_reader_gets_everything() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        await client.post("/torrent", b"{}", "Connection: close")
        await client.head()
        num_bytes = 0
        while part := await client.reader.read(1 << 20):
            num_bytes += len(part)
            await asyncio.sleep(0)

    assert application.num_chunks == NUM_CHUNKS
    assert num_bytes > NUM_CHUNKS * 100_000


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", [], 400),
        (b"{}", ["Content-Type: text/plain"], 415),
        (b"x" * (LIMIT + 1), [], 413),
        (b"x" * 3_000_000, [], 413),
        (b"x" * (LIMIT + 1), ["Expect: 100-continue"], 413),
    ],
)
async def test_a_connection_lives_on_after_a_refused_body(body: bytes, headers: list[str], status: int) -> None:
    async with serve(Application().app) as port, connect(port) as client:
        await client.post("/echo", body, *headers)
        assert (await client.response())[0] == status

        await client.post("/echo", b'{"a": 1}')

        assert await client.response() == (200, b'{"a":1}')


async def test_a_chunked_body_over_the_limit_is_refused_and_the_connection_lives_on() -> None:
    chunk = f"{60_000:x}\r\n".encode() + b"x" * 60_000 + b"\r\n"
    async with serve(Application().app) as port, connect(port) as client:
        await client.send("POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(chunk * 3 + b"0\r\n\r\n")
        assert (await client.response())[0] == 413

        await client.post("/echo", b"[]")

        assert await client.response() == (200, b"[]")


async def test_a_client_that_leaves_within_its_body_leaves_nothing_behind() -> None:
    application = Application()
    async with serve(application.app) as port:
        async with connect(port) as client:
            await client.send('POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"a"')
            await application.begun.wait()
            assert application.in_flight.count == 1

        # Far below the drain's own limit: it is the client's leaving that ends the request.
        await asyncio.wait_for(application.in_flight.drain(60), 5)


async def test_pipelined_requests_are_answered_in_order() -> None:
    one = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n1"
    async with serve(Application().app) as port, connect(port) as client:
        await client.send(one + one.replace(b"\r\n\r\n1", b"\r\n\r\n2") + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        answers = [await client.response() for _ in range(3)]

    assert answers == [(200, b"1"), (200, b"2"), (200, b'"hello"')]


async def test_head_has_the_length_and_no_body() -> None:
    async with serve(Application().app) as port, connect(port) as client:
        await client.send("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await client.head()
        assert b"content-length: 7\r\n" in head

        await client.post("/echo", b"1")

        assert await client.response() == (200, b"1")


async def test_a_drain_ends_a_stream_with_an_error_event_and_its_connection() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client, connect(port) as newcomer:
        await client.post("/endless", b"{}", "Connection: close")
        await client.until(b"data: 0 \n\n")

        await asyncio.wait_for(application.in_flight.drain(0.01), 5)

        rest = await asyncio.wait_for(client.reader.read(), 5)
        assert b'"code":"shutting_down"' in rest
        assert rest.endswith(b"0\r\n\r\n")

        await newcomer.post("/echo", b"1")
        assert (await newcomer.response())[0] == 503
        assert await asyncio.wait_for(newcomer.reader.read(), 5) == b""


async def test_an_event_stream_is_read_back_whole() -> None:
    application = Application()
    async with serve(application.app) as port, connect(port) as client:
        # HTTP/1.0 has no chunks.
        await client.send("POST /torrent HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}")
        head = await client.head()
        body = await client.reader.read()

    assert b"transfer-encoding" not in head
    assert f"content-length: {len(body)}\r\n".encode() in head
    assert [event.split()[0] for event in read_events(body)] == [str(number) for number in range(NUM_CHUNKS)]


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA")


async def test_an_offer_of_http_2_is_declined_and_the_body_is_read() -> None:
    async with serve(Application().app) as port, connect(port) as client:
        await client.post("/echo", b"[1]", *H2C)
        assert await client.response() == (200, b"[1]")

        await client.post("/echo", b"[2]")
        assert await client.response() == (200, b"[2]")


async def test_an_offer_may_come_in_pieces() -> None:
    lines = ["POST /echo HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 3", *H2C, "", ""]
    async with serve(Application().app) as port, connect(port) as client:
        for piece in ("\r\n".join(lines[:5]), "\r\n" + "\r\n".join(lines[5:]), "[1", "]"):
            await client.send(piece)
            await asyncio.sleep(0.02)
        assert await client.response() == (200, b"[1]")


async def test_a_websocket_handshake_is_answered_as_the_request_that_it_also_is() -> None:
    handshake = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    async with serve(Application().app) as port, connect(port) as client:
        await client.send("\r\n".join(["GET /echo HTTP/1.1", "Host: 127.0.0.1", *handshake, "", ""]))
        assert (await client.response())[0] == 405


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /echo HTTP/9.9\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 70_000,
        b"GET /" + b"x" * 70_000,
    ],
    ids=["TLS", "version", "CONNECT", "length", "smuggling", "endless header", "endless path"],
)
async def test_what_is_no_http_gets_an_error_object_and_the_connection_ends(sent: bytes) -> None:
    async with serve(Application().app) as port, connect(port) as client:
        await client.send(sent)
        status, body = await client.response()
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_http")
        assert await client.reader.read() == b""


async def test_a_head_and_a_large_body_may_come_at_once() -> None:
    body = b'"' + b"x" * (LIMIT - 2) + b'"'
    async with serve(Application().app) as port, connect(port) as client:
        await client.post("/echo", body)
        assert await client.response() == (200, body)


IMPATIENT = HttpProtocol.with_limits(receive_timeout_s=0.2, write_timeout_s=0.2)
PATIENT = HttpProtocol.with_limits(receive_timeout_s=600, write_timeout_s=600)


async def test_what_no_application_hears_of_is_heard_by_who_counts() -> None:
    codes: list[str] = []
    protocol = HttpProtocol.with_limits(receive_timeout_s=0.2, write_timeout_s=600, on_refusal=codes.append)
    async with serve(Application().app, protocol) as port:
        for sent in (b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\n"):
            async with connect(port) as client:
                await client.send(sent)
                await client.response()
    assert codes == ["invalid_http", "request_timeout"]


@pytest.mark.parametrize("sent", [b"G", b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nX-Slow: "])
async def test_a_head_that_does_not_come_to_its_end_is_refused(sent: bytes) -> None:
    async with serve(Application().app, IMPATIENT) as port, connect(port) as client:
        await client.send(sent)
        status, body = await client.response()
        assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
        assert await client.reader.read() == b""


async def test_a_head_that_comes_byte_by_byte_is_late_all_the_same() -> None:
    async with serve(Application().app, IMPATIENT) as port, connect(port) as client:
        await client.send("GET / HTTP/1.1\r\nX-Slow: ")
        answer = asyncio.create_task(client.response())
        while not answer.done():
            client.writer.write(b"x")
            await asyncio.sleep(0.01)
        assert (await answer)[0] == 408


async def test_a_connection_on_which_nothing_is_said_is_closed() -> None:
    async with serve(Application().app, IMPATIENT) as port, connect(port) as client:
        async with asyncio.timeout(60):
            assert await client.reader.read() == b""


async def test_time_that_an_answer_takes_does_not_count() -> None:
    application = Application()
    async with serve(application.app, IMPATIENT) as port, connect(port) as client:
        await client.post("/endless", b"{}")
        await client.until(b"data: 0 \n\n")
        await asyncio.sleep(0.5)
        assert not application.closed.is_set()


async def test_a_body_that_does_not_come_to_its_end_is_refused_and_its_connection_ends() -> None:
    application = Application(receive_timeout_s=0.2)
    async with serve(application.app, PATIENT) as port, connect(port) as client:
        await client.send("POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n[")
        status, body = await client.response()
        assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
        assert await client.reader.read() == b""
        assert application.in_flight.count == 0


async def test_a_client_that_reads_nothing_of_its_answer_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    application = Application()
    async with serve(application.app, IMPATIENT) as port, connect(port) as client:
        # Of 20 MB, the sockets take some, and the client's reader stops reading at its own limit.
        await client.post("/torrent", b"{}")
        await asyncio.wait_for(application.closed.wait(), 60)
        await asyncio.wait_for(application.in_flight.drain(60), 60)
    assert "a client that read nothing for 0.2 s was cut off" in caplog.text


async def test_a_client_that_was_cut_off_finds_out_why_behind_what_it_had_not_read() -> None:
    application = Application()
    codes: list[str] = []
    protocol = HttpProtocol.with_limits(receive_timeout_s=60, write_timeout_s=1, on_refusal=codes.append)
    async with serve(application.app, protocol) as port, connect(port) as client:
        await client.post("/torrent", b"{}", "Connection: close")
        await asyncio.wait_for(application.closed.wait(), 60)
        await asyncio.wait_for(application.in_flight.drain(60), 60)
        answer = await asyncio.wait_for(client.reader.read(), 60)
    events = [line for line in answer.split(b"\n") if line.startswith(b"data: ")]
    assert json.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "write_timeout"
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert codes == []


async def test_a_client_that_reads_nothing_to_the_last_loses_its_connection() -> None:
    application = Application()
    async with serve(application.app, IMPATIENT) as port, connect(port) as client:
        await client.post("/torrent", b"{}", "Connection: close")
        await asyncio.wait_for(application.closed.wait(), 60)
        await asyncio.sleep(1)
        answer = await asyncio.wait_for(client.reader.read(), 60)
    assert b"write_timeout" not in answer


async def test_an_answer_goes_on_where_the_client_reads_again_in_time() -> None:
    application = Application()
    protocol = HttpProtocol.with_limits(receive_timeout_s=60, write_timeout_s=10)
    async with serve(application.app, protocol) as port, connect(port) as client:
        await client.post("/torrent", b"{}", "Connection: close")
        await client.head()
        await asyncio.sleep(1)
        answer = await asyncio.wait_for(client.reader.read(), 60)
    assert answer.count(b"data: ") == NUM_CHUNKS


async def test_a_whole_answer_that_nobody_reads_is_cut_off_at_once() -> None:
    codes: asyncio.Queue[str] = asyncio.Queue()
    protocol = HttpProtocol.with_limits(receive_timeout_s=60, write_timeout_s=0.2, on_refusal=codes.put_nowait)
    async with serve(Application().app, protocol) as port, connect(port) as client:
        await client.post("/large", b"{}")
        assert await asyncio.wait_for(codes.get(), 60) == "write_timeout"


async def test_idle_and_slow_clients_disturb_nobody() -> None:
    async with serve(Application().app, PATIENT) as port, contextlib.AsyncExitStack() as stack:
        for number in range(200):
            client = await stack.enter_async_context(connect(port))
            if number % 2:
                await client.send("POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n[")
        newcomer = await stack.enter_async_context(connect(port))
        await newcomer.post("/echo", b"[1]")
        assert await newcomer.response() == (200, b"[1]")
