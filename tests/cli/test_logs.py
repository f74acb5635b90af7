"""The log: lines for people, objects for programs."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from support.asgi import request

from obeaver.cli.logs import log_to_stderr
from obeaver.errors import EngineFailed
from obeaver.web.middleware import AccessLog, ErrorBoundary, RequestId
from obeaver.web.response import TextResponse
from obeaver.web.types import Receive, Scope, Send

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn.error")
    handlers, level, uvicorns = root.handlers[:], root.level, uvicorn.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    uvicorn.setLevel(uvicorns)


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_line_is_an_object_with_its_time_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info", "json")
    logging.getLogger("obeaver").info("serving on %s\nand a second line", "somewhere")
    logging.getLogger("obeaver").debug("not said")
    (line,) = objects(capsys)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() is not None
    assert line == {"level": "INFO", "logger": "obeaver", "message": "serving on somewhere\nand a second line"}


async def test_the_line_of_a_request_has_its_parts_and_where_it_stands_in_a_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("info", "json")
    app = RequestId(AccessLog(TextResponse("hello")), new_id=lambda: "req_7", new_span=lambda: "00000000000000ab")
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "authorization": "Bearer s3cret"}
    await request(app, "GET", "/v1/models?key=s3cret", headers=headers)
    (line,) = objects(capsys)
    expected = {
        "logger": "obeaver.access",
        "request_id": "req_7",
        "trace_id": TRACE,
        "span_id": "00000000000000ab",
        "method": "GET",
        "path": "/v1/models",
        "status": 200,
        "complete": True,
        "bytes": 5,
    }
    assert line.items() >= expected.items()
    assert "s3cret" not in json.dumps(line)


async def test_an_error_has_its_traceback_and_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise EngineFailed("Broken.")

    log_to_stderr("info", "json")
    await request(RequestId(AccessLog(ErrorBoundary(broken)), new_id=lambda: "req_8"), "GET", "/")
    error, access = objects(capsys)
    assert (error["level"], error["request_id"]) == ("ERROR", "req_8")
    assert "EngineFailed: Broken." in error["error"]
    assert (access["status"], access["error_code"]) == (500, "engine_failed")


def test_lines_for_people_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("warning", "text")
    logging.getLogger("obeaver").warning("mind the gap")
    assert capsys.readouterr().err.rstrip().endswith("WARNING obeaver: mind the gap")
