"""Answers to clients of HTTP/1.0."""

from typing import Any

import pytest
from support import asgi

from obeaver.web.http10 import WholeForHttp10
from obeaver.web.response import JSONResponse
from obeaver.web.types import ASGIApp, Receive, Scope, Send


def chunks(*parts: bytes, complete: bool = True) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def messages(app: ASGIApp, version: str) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    await WholeForHttp10(app)({**asgi.http_scope("GET", "/"), "http_version": version}, receive, send)
    return sent


async def test_a_stream_comes_in_one_piece_with_its_length() -> None:
    start, body = await messages(chunks(b"one", b"two"), "1.0")
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"6")]
    assert body == {"type": "http.response.body", "body": b"onetwo", "more_body": False}


async def test_a_stream_that_was_cut_off_is_not_sent() -> None:
    assert await messages(chunks(b"one", complete=False), "1.0") == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_answer_of_known_length_passes_as_it_is(version: str) -> None:
    start, body = await messages(JSONResponse({}), version)
    assert dict(start["headers"])[b"content-length"] == b"2"
    assert body["body"] == b"{}"


async def test_newer_clients_get_streams_as_streams() -> None:
    assert len(await messages(chunks(b"one", b"two"), "1.1")) == 4
