"""Requests: bodies within their limit, content types, headers, a client that leaves."""

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from support.asgi import Exchange, http_scope

from obeaver.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from obeaver.web.request import BodyLimits, ClientDisconnected, Request


def make_request(
    *parts: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    limit: int = 100,
    query: str = "",
) -> tuple[Request, Exchange]:
    running = Exchange(parts or [b""])
    scope = http_scope("POST", "/v1/x%20y", headers=headers, query=query)
    return Request(scope, running.receive, limits=BodyLimits(limit)), running


async def test_a_body_in_parts_is_joined() -> None:
    request, _ = make_request(b"ab", b"", b"cd")

    assert await request.body() == b"abcd"


async def test_a_body_can_be_read_twice() -> None:
    request, running = make_request(b"ab", b"cd")

    assert await request.body() == await request.body()
    assert running.num_body_reads == 2


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    request, _ = make_request(b"x" * 60, b"x" * 40, headers={"content-length": "100"})

    assert len(await request.body()) == 100


@pytest.mark.parametrize("length", ["101", "20000000", "9" * 5000])
async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(length: str) -> None:
    request, running = make_request(b"x" * 101, headers={"content-length": length})

    with pytest.raises(PayloadTooLarge):
        await request.body()

    assert running.num_body_reads == 0


@pytest.mark.parametrize(
    "headers", [{"transfer-encoding": "chunked"}, {"content-length": "7"}, {"content-length": "x"}]
)
async def test_an_undeclared_or_falsely_declared_length_is_counted(headers: dict[str, str]) -> None:
    request, running = make_request(b"x" * 60, b"x" * 60, b"x" * 60, headers=headers)

    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        await request.body()

    assert running.num_body_reads == 2


async def test_a_client_that_leaves_within_its_body_ends_the_reading() -> None:
    request, running = make_request(b'{"a":', b"1}")
    running.cut_body()

    with pytest.raises(ClientDisconnected):
        await request.json()


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"; profile=x',
        "application/problem+json",
        "application/vnd.api+json",
        "application/json; charset=us-ascii",
    ],
)
async def test_json_is_read_from_json_media_types_and_where_none_is_named(content_type: str | None) -> None:
    request, _ = make_request(b'{"a": 1}', headers={} if content_type is None else {"content-type": content_type})

    assert await request.json() == {"a": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "text/json"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonx"},
        {"content-type": ""},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_other_media_are_refused_before_the_body_is_read(headers: dict[str, str]) -> None:
    request, running = make_request(b'{"a": 1}', headers=headers)

    with pytest.raises(UnsupportedMediaType):
        await request.json()

    assert running.num_body_reads == 0


async def test_an_empty_body_is_not_json() -> None:
    request, _ = make_request(b"")

    with pytest.raises(BadRequest, match="empty"):
        await request.json()


def test_headers_are_found_by_lower_case_name_and_repeated_ones_joined() -> None:
    request, _ = make_request(headers=[("X-One", "1"), ("Accept", "a"), ("accept", "b")])

    assert request.headers["x-one"] == "1"
    assert request.headers["accept"] == "a, b"


def test_query_parameters_are_decoded_and_the_last_of_equal_ones_wins() -> None:
    request, _ = make_request(query="a=1&a=%C3%A9+x&empty=")

    assert request.query == {"a": "é x", "empty": ""}


def test_method_path_and_id_are_told() -> None:
    request, _ = make_request()

    assert (request.method, request.path, request.request_id) == ("POST", "/v1/x y", "")


async def test_disconnected_returns_when_the_client_has_left() -> None:
    request, running = make_request(b"{}")
    await request.body()
    waiting = asyncio.create_task(request.disconnected())
    await asyncio.sleep(0)
    assert not waiting.done()

    await running.leave()

    await asyncio.wait_for(waiting, 5)
