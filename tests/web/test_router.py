"""The router: one table answers 200, 404 and 405."""

import pytest
from support.asgi import Reply, call, http_scope, request

from obeaver.errors import ApiError, MethodNotAllowed, NotFound
from obeaver.web.request import Request
from obeaver.web.response import JSONResponse, Response
from obeaver.web.router import Route, Router


async def show(request: Request) -> Response:
    return JSONResponse({"method": request.method, "params": request.path_params})


async def show_other(request: Request) -> Response:
    return JSONResponse({"other": request.path_params})


ROUTER = Router(
    [
        Route("GET", "/", show),
        Route("GET", "/v1/models", show),
        Route("GET", "/v1/models/{id:path}", show),
        Route("POST", "/v1/models", show_other),
        Route("POST", "/jobs/{job}/steps/{step}", show),
    ]
)


async def get(path: str) -> Reply:
    return await request(ROUTER, "GET", path)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/", {}),
        ("/v1/models", {}),
        ("/v1/%6dodels", {}),
        ("/v1/models/smollm2", {"id": "smollm2"}),
        ("/v1/models/org/name", {"id": "org/name"}),
        ("/v1/models/org%2Fname", {"id": "org/name"}),
        ("/v1/models/a%20b%C3%A9", {"id": "a bé"}),
        ("/v1/models/a?x=1", {"id": "a"}),
        ("/v1/models/100%25", {"id": "100%"}),
    ],
)
async def test_a_path_finds_its_route_and_parameters(path: str, params: dict[str, str]) -> None:
    assert (await get(path)).json() == {"method": "GET", "params": params}


async def test_a_plain_parameter_holds_one_segment_even_with_an_escaped_slash_in_it() -> None:
    reply = await request(ROUTER, "POST", "/jobs/a%2Fb/steps/2")

    assert reply.json()["params"] == {"job": "a/b", "step": "2"}


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/models/smollm2/"])
async def test_one_trailing_slash_makes_no_difference(path: str) -> None:
    assert (await get(path)).json() == (await get(path[:-1])).json()


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/model", "/V1/models", "/v1//models", "/v1/models//", "/jobs//steps/1", "/jobs/1/steps"]
)
async def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        await get(path)


async def test_a_server_that_tells_no_raw_path_is_served_too() -> None:
    scope = http_scope("GET", "/v1/models/a%20b")
    del scope["raw_path"]

    assert (await call(ROUTER, scope)).json()["params"] == {"id": "a b"}


async def test_a_known_path_with_another_method_tells_the_methods_it_has() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        await request(ROUTER, "DELETE", "/v1/models")

    assert caught.value.headers == {"Allow": "GET, HEAD, OPTIONS, POST"}


async def test_options_tells_the_methods_of_a_path() -> None:
    reply = await request(ROUTER, "OPTIONS", "/jobs/1/steps/2")

    assert (reply.status, reply.headers["allow"], reply.body) == (204, "OPTIONS, POST", b"")


async def test_options_of_an_unknown_path_is_not_found() -> None:
    with pytest.raises(ApiError) as caught:
        await request(ROUTER, "OPTIONS", "/nowhere")

    assert caught.value.status == 404


async def test_head_is_get_without_a_body() -> None:
    reply = await request(ROUTER, "HEAD", "/v1/models")

    assert reply.status == 200
    assert reply.body == b""
    assert reply.headers["content-length"] == str(len(b'{"method":"HEAD","params":{}}'))


async def test_of_two_routes_that_match_the_first_answers() -> None:
    router = Router([Route("GET", "/a/b", show_other), Route("GET", "/a/{x}", show)])

    assert (await request(router, "GET", "/a/b")).json() == {"other": {}}


def test_the_table_can_be_read() -> None:
    assert [(route.method, route.path) for route in ROUTER.routes][:2] == [("GET", "/"), ("GET", "/v1/models")]


@pytest.mark.parametrize("pattern", ["v1", "/{rest:path}/more"])
def test_a_malformed_pattern_is_refused_when_the_table_is_made(pattern: str) -> None:
    with pytest.raises(ValueError, match="path"):
        Route("GET", pattern, show)
