"""The layers that every request passes: request ids, the access log, the error boundary."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from support.asgi import call, exchange, http_scope, request
from support.event_stream import read_events, read_json_events

from obeaver.errors import ApiError, BadRequest, EngineFailed, QueueFull
from obeaver.web import sse
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.request import REQUEST_ID_KEY, ClientDisconnected, Request
from obeaver.web.response import JSONResponse, TextResponse
from obeaver.web.stream import EventStream
from obeaver.web.types import ASGIApp, Receive, Scope, Send


def raising(error: BaseException) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return app


def streaming(*parts: bytes | Exception) -> ASGIApp:
    async def chunks() -> AsyncIterator[bytes]:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await EventStream(chunks())(scope, receive, send)

    return app


async def show_id(scope: Scope, receive: Receive, send: Send) -> None:
    await TextResponse(Request(scope, receive).request_id)(scope, receive, send)


# Error boundary


@pytest.mark.parametrize("error", [BadRequest("No.", param="x"), QueueFull("Busy."), EngineFailed("Broken.")])
async def test_an_api_error_becomes_its_answer(error: ApiError) -> None:
    reply = await request(ErrorBoundary(raising(error)), "GET", "/")

    assert reply.status == error.status
    assert reply.json() == error.body()
    assert set(reply.headers) >= {name.lower() for name in error.headers}


async def test_an_unexpected_error_is_a_500_whose_traceback_only_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    app = RequestId(ErrorBoundary(raising(ValueError("a secret detail"))), new_id=lambda: "req_7")

    reply = await request(app, "GET", "/")

    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert "req_7" in reply.error["message"]
    assert b"secret" not in reply.body
    assert "req_7" in caplog.text
    assert "ValueError: a secret detail" in caplog.text


async def test_an_internal_error_that_we_raise_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    await request(ErrorBoundary(raising(EngineFailed("Broken."))), "GET", "/")

    assert "Traceback" in caplog.text


async def test_a_bad_request_is_not_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    await request(ErrorBoundary(raising(BadRequest("No."))), "GET", "/")

    assert caplog.records == []


async def test_an_error_before_the_first_event_keeps_its_status() -> None:
    reply = await request(ErrorBoundary(streaming(QueueFull("Busy."))), "POST", "/")

    assert reply.status == 429
    assert reply.headers["content-type"] == "application/json"


async def test_an_error_in_a_stream_that_has_begun_is_one_event_and_the_end() -> None:
    error = EngineFailed("Broken.")

    reply = await request(ErrorBoundary(streaming(sse.event({"n": 1}), error)), "POST", "/")

    assert reply.status == 200
    assert read_json_events(reply.body) == [{"n": 1}, error.body()]
    assert reply.complete


async def test_an_unexpected_error_in_a_stream_is_an_event_without_details() -> None:
    reply = await request(ErrorBoundary(streaming(sse.event("x"), ValueError("secret"))), "POST", "/")

    assert read_events(reply.body)[0] == "x"
    assert len(read_events(reply.body)) == 2
    assert '"internal_error"' in read_events(reply.body)[1]
    assert b"secret" not in reply.body


async def test_another_response_that_fails_midway_is_cut_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise OSError("disk")

    reply = await request(ErrorBoundary(app), "GET", "/")

    assert (reply.body, reply.complete) == (b"half", False)


async def test_an_error_after_the_end_changes_nothing_for_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await streaming(sse.DONE)(scope, receive, send)
        raise ValueError("late")

    reply = await request(ErrorBoundary(app), "GET", "/")

    assert reply.chunks == [sse.DONE]
    assert "late" in caplog.text


async def test_a_client_that_left_gets_no_answer_and_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    reply = await request(ErrorBoundary(raising(ClientDisconnected())), "GET", "/")

    assert reply.status is None
    assert caplog.records == []


async def test_cancellation_passes() -> None:
    with pytest.raises(asyncio.CancelledError):
        await request(ErrorBoundary(raising(asyncio.CancelledError())), "GET", "/")


async def test_a_reader_that_has_stopped_does_not_hold_up_the_last_event_for_ever() -> None:
    started = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await started.wait()
        raise EngineFailed("Broken.")

    async with exchange(ErrorBoundary(app), http_scope("POST")) as (running, task):
        await running.start()
        running.stop_reading()
        started.set()

        await asyncio.wait_for(task, 10)

    assert not running.reply.complete


# Request ids


async def test_a_request_gets_an_id_that_its_answer_carries() -> None:
    first, second = [await request(RequestId(show_id), "GET", "/") for _ in range(2)]

    assert first.headers["x-request-id"] == first.body.decode()
    assert first.body != second.body


@pytest.mark.parametrize("given", ["abc-123", "00f067aa0ba902b7", "a.b_c:d"])
async def test_a_plain_id_of_the_clients_own_is_kept(given: str) -> None:
    reply = await request(RequestId(show_id), "GET", "/", headers={"X-Request-Id": given})

    assert reply.headers["x-request-id"] == given == reply.body.decode()


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "x" * 129, "é", "a,b", '"'])
async def test_an_odd_id_is_replaced(given: str) -> None:
    reply = await request(RequestId(show_id, new_id=lambda: "new"), "GET", "/", headers={"X-Request-Id": given})

    assert reply.headers["x-request-id"] == "new"


async def test_errors_carry_the_id_too() -> None:
    reply = await request(RequestId(ErrorBoundary(raising(BadRequest("No.")))), "GET", "/")

    assert reply.headers["x-request-id"]


# Access log


@pytest.fixture
def access_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="obeaver.access")
    return caplog


def clock_of(*seconds: float) -> Iterator[float]:
    return iter(seconds)


async def test_one_line_tells_what_was_answered(access_log: pytest.LogCaptureFixture) -> None:
    ticks = clock_of(10.0, 10.25)
    scope = http_scope("POST", "/v1/a%0Ab", query="key=secret")
    scope[REQUEST_ID_KEY] = "req_7"

    await call(AccessLog(JSONResponse([1, 2], status=201), clock=lambda: next(ticks)), scope)

    assert access_log.messages == [
        '127.0.0.1 "POST /v1/a%0Ab" 201 5 bytes 250.0 ms req_7',
    ]


async def test_a_path_without_its_raw_form_is_quoted(access_log: pytest.LogCaptureFixture) -> None:
    scope = http_scope("GET", "/a%0Ab")
    del scope["raw_path"]
    scope["client"] = None

    await call(AccessLog(JSONResponse(1)), scope)

    assert access_log.messages[0].startswith('- "GET /a%0Ab" 200 1 bytes')


async def test_a_client_that_left_before_its_answer_is_a_499(access_log: pytest.LogCaptureFixture) -> None:
    await request(AccessLog(ErrorBoundary(raising(ClientDisconnected()))), "GET", "/")

    assert '"GET /" 499 (cut off) 0 bytes' in access_log.messages[0]


async def test_a_stream_that_was_left_midway_says_so(access_log: pytest.LogCaptureFixture) -> None:
    app = AccessLog(ErrorBoundary(streaming(b"abc", ClientDisconnected())))

    await request(app, "GET", "/")

    assert '"GET /" 200 (cut off) 3 bytes' in access_log.messages[0]
