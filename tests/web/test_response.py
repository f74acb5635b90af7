"""Responses: what goes over the wire."""

import pytest
from support.asgi import Reply, call, http_scope

from obeaver.errors import BadRequest, QueueFull
from obeaver.web.response import HTMLResponse, JSONResponse, Redirect, Response, TextResponse, error_response


async def send(response: Response, method: str = "GET") -> Reply:
    return await call(response, http_scope(method))


async def test_json_is_sent_with_its_type_and_length() -> None:
    reply = await send(JSONResponse({"é": 1}, status=201, headers={"X-Extra": "yes"}))

    assert reply.status == 201
    assert reply.body == '{"é":1}'.encode()
    assert reply.headers == {"content-type": "application/json", "content-length": "8", "x-extra": "yes"}


async def test_head_gets_the_headers_of_the_body_without_the_body() -> None:
    reply = await send(JSONResponse({"a": 1}), "HEAD")

    assert (reply.headers["content-length"], reply.body, reply.complete) == ("7", b"", True)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_neither_length_nor_type(status: int) -> None:
    reply = await send(JSONResponse({}, status=status))

    assert (reply.headers, reply.body) == ({}, b"")


@pytest.mark.parametrize(
    ("response", "content_type"),
    [
        (TextResponse("é"), "text/plain; charset=utf-8"),
        (TextResponse("x 1", media_type="text/plain; version=0.0.4"), "text/plain; version=0.0.4"),
        (HTMLResponse("<p>é"), "text/html; charset=utf-8"),
        (Response(b"x", media_type="image/png"), "image/png"),
    ],
)
async def test_each_kind_names_its_media_type(response: Response, content_type: str) -> None:
    assert (await send(response)).headers["content-type"] == content_type


async def test_text_is_utf_8() -> None:
    assert (await send(TextResponse("é"))).body == "é".encode()


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/static/index.html", "/static/index.html"),
        ("/a b?x=é%20", "/a%20b?x=%C3%A9%20"),
        ("/a\r\nx-evil: 1", "/a%0D%0Ax-evil:%201"),
    ],
)
async def test_a_redirect_keeps_the_method_and_escapes_its_target(location: str, sent: str) -> None:
    reply = await send(Redirect(location))

    assert (reply.status, reply.headers["location"], reply.body) == (307, sent, b"")


async def test_an_error_becomes_its_status_body_and_headers() -> None:
    reply = await send(error_response(QueueFull("Busy.", retry_after_s=3)))

    assert reply.status == 429
    assert reply.headers["retry-after"] == "3"
    assert reply.json() == {
        "error": {"message": "Busy.", "type": "rate_limit_error", "param": None, "code": "queue_full"}
    }


async def test_an_error_names_its_parameter() -> None:
    reply = await send(error_response(BadRequest("No.", param="messages[0].role", code="wrong")))

    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "messages[0].role", "wrong")
