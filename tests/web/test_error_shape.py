"""Errors in the shape of the path that was called: whatever goes wrong there, and whoever finds it."""

from collections.abc import AsyncIterator

import pytest
from support.asgi import Reply, call, http_scope, request

from obeaver.errors import ApiError, EngineFailed
from obeaver.web import ndjson
from obeaver.web.access import ApiKey
from obeaver.web.cors import Cors
from obeaver.web.error_shape import ErrorShape
from obeaver.web.middleware import ErrorBoundary
from obeaver.web.request import BodyLimits, Request
from obeaver.web.response import JSONResponse, Response
from obeaver.web.router import Handler, Route, Router
from obeaver.web.stream import LINES, EventStream
from obeaver.web.types import ASGIApp, Scope


class PlainText(ErrorShape):
    """Errors as a dialect might have them: one string."""

    def response(self, error: ApiError, scope: Scope) -> Response:
        headers = {**error.headers, "x-shape": "plain"}
        return JSONResponse({"error": error.message}, status=error.status, headers=headers)

    def last_event(self, error: ApiError) -> bytes:
        return ndjson.line({"error": error.message})


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


def broken_after(num_lines: int) -> Handler:
    async def chunks() -> AsyncIterator[bytes]:
        for n in range(num_lines):
            yield ndjson.line({"n": n})
        raise EngineFailed("Broken.")

    async def handler(_: Request) -> EventStream:
        return EventStream(chunks(), framing=LINES)

    return handler


FAMILY = PlainText()
ROUTER = Router(
    [
        Route("POST", "/own", echo),
        Route("POST", "/plain", echo, errors=PlainText()),
        Route("POST", "/plain/deeper/{id}", echo),
        Route("POST", "/family/one", echo, errors=FAMILY),
        Route("POST", "/family/two/{id}", echo, errors=FAMILY),
        Route("POST", "/family/three", echo, errors=FAMILY),
        Route("POST", "/family/stranger", echo),
        Route("POST", "/lines", broken_after(1), errors=PlainText()),
        Route("POST", "/silent", broken_after(0), errors=PlainText()),
    ],
    limits=BodyLimits(100),
)
APP: ASGIApp = Cors(ErrorBoundary(ApiKey(ROUTER, keys=["k"]), shape_of=ROUTER.error_shape), shape_of=ROUTER.error_shape)
KEY = {"authorization": "Bearer k"}


async def post(path: str, body: bytes = b"{}", headers: dict[str, str] = KEY) -> Reply:
    return await request(APP, "POST", path, body=body, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/plain", b"{", KEY, 400),
        ("POST", "/plain", b"{}", {}, 401),
        ("POST", "/plain", b"{}", {"origin": "https://elsewhere.example"}, 403),
        ("POST", "/plain/nothing", b"{}", KEY, 404),
        ("GET", "/plain", b"", KEY, 405),
        ("POST", "/family/nobody", b"{}", KEY, 404),
        ("POST", "/family/nobody/1", b"{}", KEY, 404),
        ("POST", "/family/two/1/more", b"{}", KEY, 404),
        ("POST", "/family" + "/more" * 10_000, b"{}", KEY, 404),
        ("POST", "/plain", b'"' + b"x" * 200 + b'"', KEY, 413),
        ("POST", "/plain", b"{}", {**KEY, "content-type": "text/plain"}, 415),
        ("POST", "/silent", b"{}", KEY, 500),
    ],
)
async def test_whatever_goes_wrong_on_a_path_is_told_in_its_shape(
    method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    reply = await request(APP, method, path, body=body, headers=headers)
    assert (reply.status, reply.headers["x-shape"]) == (status, "plain")
    assert isinstance(reply.json()["error"], str)


@pytest.mark.parametrize(
    "path", ["/own", "/nothing", "/plain/deeper/1", "/", "/plainer", "/family", "/family/stranger/1"]
)
async def test_all_other_paths_have_the_servers_own_shape(path: str) -> None:
    reply = await post(path, b"{")
    assert reply.status in {400, 404}
    assert reply.error["type"] == "invalid_request_error"


async def test_a_stream_of_lines_that_has_begun_ends_with_a_line_that_tells_why() -> None:
    reply = await call(APP, http_scope("POST", "/lines", headers=KEY))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.body == b'{"n":0}\n{"error":"Broken."}\n'
