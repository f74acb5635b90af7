"""Which web pages may call."""

import pytest
from support.asgi import Reply, request

from obeaver.errors import BadRequest
from obeaver.web.cors import Cors
from obeaver.web.middleware import ErrorBoundary
from obeaver.web.response import TextResponse
from obeaver.web.types import Receive, Scope, Send

LOOPBACK = ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173"]
FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "http://evil.example/localhost",
    "http://127.0.0.1.evil.example",
    "ftp://localhost",
    "file://",
    "null",
    "",
]


class Target:
    """The layer below; knows whether it was reached."""

    def __init__(self) -> None:
        self.reached = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached = True
        await TextResponse("hello", headers={"Vary": "Accept"})(scope, receive, send)


async def send(method: str, origin: str, *, named: list[str] | None = None, **headers: str) -> tuple[Reply, bool]:
    target = Target()
    sent = {"origin": origin, **{name.replace("_", "-"): value for name, value in headers.items()}}
    reply = await request(Cors(target, origins=named or []), method, "/v1/models", headers=sent)
    return reply, target.reached


async def preflight(origin: str, *, named: list[str] | None = None, **headers: str) -> Reply:
    reply, reached = await send("OPTIONS", origin, named=named, access_control_request_method="POST", **headers)
    assert not reached
    return reply


@pytest.mark.parametrize("origin", LOOPBACK)
async def test_pages_on_loopback_may_call_and_read_without_credentials(origin: str) -> None:
    reply, reached = await send("POST", origin)

    assert reached
    assert reply.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in reply.headers
    assert reply.headers["vary"] == "Accept, Origin"


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_from_elsewhere_cannot_make_anything_happen(origin: str) -> None:
    reply, reached = await send("POST", origin)

    assert not reached
    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_from_elsewhere_cannot_read_what_they_get(origin: str) -> None:
    reply, reached = await send("GET", origin)

    assert reached
    assert "access-control-allow-origin" not in reply.headers
    assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_from_elsewhere_fail_their_preflight(origin: str) -> None:
    reply = await preflight(origin)

    assert reply.status == 403
    assert not any(name.startswith("access-control-") for name in reply.headers)


@pytest.mark.parametrize("origin", LOOPBACK)
async def test_a_preflight_from_loopback_is_granted_what_it_asks(origin: str) -> None:
    reply = await preflight(origin, access_control_request_headers="authorization, content-type,x-stainless-os")

    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD, POST, DELETE, OPTIONS"
    assert reply.headers["access-control-allow-headers"] == "authorization, content-type,x-stainless-os"
    assert "access-control-allow-private-network" not in reply.headers
    assert reply.headers["vary"].startswith("Origin")


async def test_a_preflight_that_asks_for_the_private_network_gets_it() -> None:
    reply = await preflight("http://localhost:3000", access_control_request_private_network="true")

    assert reply.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-headers" not in reply.headers


async def test_odd_header_names_in_a_preflight_are_not_echoed() -> None:
    reply = await preflight("http://localhost:3000", access_control_request_headers='x"; <script>')

    assert "access-control-allow-headers" not in reply.headers


async def test_a_named_origin_may_send_credentials() -> None:
    named = ["https://Chat.Example/"]
    reply, reached = await send("POST", "https://chat.example", named=named)

    assert reached
    assert reply.headers["access-control-allow-origin"] == "https://chat.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert (await preflight("https://chat.example", named=named)).headers["access-control-allow-credentials"] == "true"


async def test_another_port_of_a_named_origin_is_another_origin() -> None:
    reply, _ = await send("POST", "https://chat.example:8443", named=["https://chat.example"])

    assert reply.status == 403


@pytest.mark.parametrize("origin", ["https://anywhere.example", "null"])
async def test_the_star_lets_every_page_call_and_none_send_credentials(origin: str) -> None:
    reply, reached = await send("POST", origin, named=["*"])

    assert reached
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers


async def test_the_servers_own_page_may_call() -> None:
    reply, reached = await send("POST", "http://192.168.1.5:1573", host="192.168.1.5:1573")

    assert (reached, reply.status) == (True, 200)


async def test_callers_that_are_no_page_are_not_concerned() -> None:
    target = Target()

    reply = await request(Cors(target), "POST", "/")

    assert target.reached
    assert reply.headers["vary"] == "Accept, Origin"


async def test_options_without_a_preflight_go_to_the_router() -> None:
    _, reached = await send("OPTIONS", "http://localhost:3000")

    assert reached


async def test_errors_can_be_read_by_pages_that_may_call() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise BadRequest("No.")

    app = Cors(ErrorBoundary(failing))

    reply = await request(app, "POST", "/", headers={"origin": "http://localhost:3000"})

    assert reply.status == 400
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert reply.headers["access-control-expose-headers"] == "x-request-id, request-id, retry-after"


@pytest.mark.parametrize("origin", ["file://", "chrome-extension://abc", "https://chat.example:8443"])
async def test_any_origin_that_was_named_may_call_with_credentials(origin: str) -> None:
    reply = await preflight(origin, named=[origin])
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-credentials"] == "true"


async def test_pages_without_an_origin_may_call_where_null_was_named_and_never_with_credentials() -> None:
    reply = await preflight("null", named=["null"])
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "null")
    assert "access-control-allow-credentials" not in reply.headers
