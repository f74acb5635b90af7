"""Who may call: the Host header and the API key."""

import pytest
from support.asgi import call, http_scope, request

from obeaver.errors import Forbidden, Unauthorized
from obeaver.web.access import ApiKey, HostCheck
from obeaver.web.response import TextResponse

HELLO = TextResponse("hello")


async def host_is_accepted(host: str, **settings: object) -> bool:
    app = HostCheck(HELLO, **{"bound_host": "127.0.0.1", **settings})  # type: ignore[arg-type]
    scope = http_scope(headers={"host": host})
    scope["server"] = ("192.168.1.5", 18000)
    try:
        await call(app, scope)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:18000",
        "localhost.:18000",
        "127.0.0.1:18000",
        "127.0.0.2",
        "[::1]:18000",
        "[0:0:0:0:0:0:0:1]",
        "192.168.1.5:80",
        "localhost:",
    ],
)
async def test_names_of_this_server_are_accepted(host: str) -> None:
    assert await host_is_accepted(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:18000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "192.168.1.6",
        "10.0.0.1:18000",
        "::1",
        "[::2]",
        "[evil.example]",
        "localhost:port",
        "localhost:123456",
        "localhost/x",
        "localhost, evil.example",
        "[::1",
        "*",
    ],
)
async def test_other_names_and_odd_ones_are_refused(host: str) -> None:
    assert not await host_is_accepted(host)


async def test_two_host_headers_are_refused() -> None:
    scope = http_scope(headers=[("host", "localhost"), ("host", "localhost")])

    with pytest.raises(Forbidden):
        await call(HostCheck(HELLO, bound_host="127.0.0.1"), scope)


async def test_a_request_without_host_is_refused() -> None:
    scope = http_scope()
    scope["headers"] = []

    with pytest.raises(Forbidden) as caught:
        await call(HostCheck(HELLO, bound_host="127.0.0.1"), scope)

    assert caught.value.code == "host_not_allowed"


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("box.lan:1573", {"bound_host": "box.lan"}),
        ("Models.Example", {"names": ["models.example"]}),
        ("[fe80::2]:1", {"bound_host": "fe80::2"}),
        ("whatever.example", {"names": ["*"]}),
    ],
)
async def test_the_bound_host_and_named_ones_are_accepted(host: str, settings: dict[str, object]) -> None:
    assert not await host_is_accepted(host)
    assert await host_is_accepted(host, **settings)


async def test_an_address_on_a_socket_of_both_families_is_its_own() -> None:
    scope = http_scope(headers={"host": "192.168.1.5:80"})
    scope["server"] = ("::ffff:192.168.1.5", 80)

    assert (await call(HostCheck(HELLO, bound_host="::"), scope)).status == 200


async def test_a_server_that_does_not_know_its_address_accepts_loopback_only() -> None:
    scope = http_scope(headers={"host": "127.0.0.1"})
    scope["server"] = None

    assert (await call(HostCheck(HELLO, bound_host="::"), scope)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer s3cret-é"},
        {"Authorization": "bearer   s3cret-é "},
        {"x-api-key": "s3cret-é"},
        {"Authorization": "Bearer dummy", "X-Api-Key": "s3cret-é"},
        {"Authorization": "Basic eDp5", "X-Api-Key": "s3cret-é"},
    ],
)
async def test_the_key_opens_in_either_header(headers: dict[str, str]) -> None:
    # As a client sends UTF-8 in a header: its bytes, read as latin-1.
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}

    assert (await request(ApiKey(HELLO, keys=["other", "s3cret-é"]), "GET", "/v1/models", headers=sent)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer s3cre"},
        {"Authorization": "Bearer s3cret2"},
        {"Authorization": "Bearer S3CRET"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "s3cret"},
        {"x-api-key": "Bearer s3cret"},
    ],
)
async def test_anything_else_is_unauthorized(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as caught:
        await request(ApiKey(HELLO, keys=["s3cret", "another"]), "GET", "/v1/models", headers=headers)

    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("path", ["/", "/health", "/static/index.html", "/static/a/b.js"])
async def test_open_paths_need_no_key(path: str) -> None:
    app = ApiKey(HELLO, keys=["s3cret", "another"], open_paths=["/", "/health", "/static/"])

    assert (await request(app, "GET", path)).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/health/x", "//", "/v1/models", "/static", "/static2/x"])
async def test_paths_beside_the_open_ones_need_the_key(path: str) -> None:
    app = ApiKey(HELLO, keys=["s3cret", "another"], open_paths=["/", "/health", "/static/"])

    with pytest.raises(Unauthorized):
        await request(app, "GET", path)


@pytest.mark.parametrize("keys", [[], [""], ["s3cret", ""]])
def test_an_empty_key_is_a_mistake(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="empty API key"):
        ApiKey(HELLO, keys=keys)
