"""The ring of the latest requests."""

import logging

import pytest
from support.asgi import http_scope, request

from obeaver.web.middleware import AccessLog
from obeaver.web.request_log import (
    LoggedRequest,
    RequestLog,
    Tokens,
    count_tokens,
    with_notes,
)
from obeaver.web.response import Response
from obeaver.web.types import Receive, Scope, Send


def a_request(path: str = "/v1/x", status: int = 200) -> LoggedRequest:
    return LoggedRequest(0, "req_1", "POST", path, status, True, 1.0, 0.5)


def test_requests_are_numbered_and_the_oldest_go_first() -> None:
    log = RequestLog(size=3)
    for index in range(5):
        log.add(a_request(f"/{index}"))
    assert [(row.number, row.path) for row in log.between(0, log.last_number)] == [(3, "/2"), (4, "/3"), (5, "/4")]


def test_a_reader_gets_what_came_after_the_last_one_that_it_knows() -> None:
    log = RequestLog()
    for index in range(4):
        log.add(a_request(f"/{index}"))
    assert [row.number for row in log.between(2, 4)] == [3, 4]
    assert [row.number for row in log.between(2, 3)] == [3]
    assert log.between(4, 4) == []


def test_requests_that_only_watch_are_left_out_unless_they_fail() -> None:
    log = RequestLog()
    for path in ("/static/app.js", "/health", "/health/ready", "/metrics", "/api/engine", "/api/system/memory"):
        log.add(a_request(path))
    assert log.last_number == 0
    log.add(a_request("/static/app.js", 404))
    log.add(a_request("/api/models/available"))
    assert [row.path for row in log.between(0, 9)] == ["/static/app.js", "/api/models/available"]


async def test_tokens_are_counted_when_the_answer_is_over() -> None:
    counted = [0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        count_tokens({**scope}, lambda: Tokens(7, counted[0]))
        await Response(b"x")(scope, receive, send)
        counted[0] = 3

    log = RequestLog()
    times = iter([10.0, 12.5])
    await request(AccessLog(app, log=log, clock=lambda: next(times), wall_clock=lambda: 99.0), "POST", "/p?key=k")
    (row,) = log.between(0, 1)
    assert row == LoggedRequest(1, "-", "POST", "/p", 200, True, 99.0, 2.5, Tokens(7, 3))


@pytest.mark.parametrize(
    ("path", "status", "level"), [("/health", 200, "DEBUG"), ("/health", 503, "INFO"), ("/p", 200, "INFO")]
)
async def test_who_only_watches_does_not_fill_the_servers_log(
    caplog: pytest.LogCaptureFixture, path: str, status: int, level: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="obeaver.access")
    await request(AccessLog(Response(b"x", status=status)), "GET", path)
    assert [record.levelname for record in caplog.records] == [level]


async def test_a_request_that_the_client_left_has_its_own_status() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Sends nothing."""

    log = RequestLog()
    await request(AccessLog(app, log=log), "GET", "/p")
    assert [(row.status, row.complete, row.tokens) for row in log.between(0, 1)] == [(499, False, None)]


def test_where_nobody_keeps_a_log_a_count_goes_nowhere() -> None:
    scope = http_scope()
    count_tokens(scope, lambda: Tokens(1, 1))
    _, notes = with_notes(scope)
    assert notes.tokens() is None
