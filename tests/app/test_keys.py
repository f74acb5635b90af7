"""Keys that open a server: given, and in a file; and clients, which keys tell apart."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest
from support import asgi

from obeaver.api.metrics.server import ServerMetrics
from obeaver.app.application import Application
from obeaver.app.keys import api_keys
from obeaver.cli.parser import build_parser
from obeaver.config import Settings, load_settings
from obeaver.errors import CommandError
from obeaver.web.request import Request
from obeaver.web.response import TextResponse
from obeaver.web.router import Route


def test_keys_come_from_flags_the_environment_and_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("\ufeff# Ann's laptop\nann-1\n\n  bob-1  \n", encoding="utf-8")
    flags = vars(build_parser().parse_args(["serve", "--api-key", "one", "--api-key", "two"]))

    assert api_keys(load_settings(flags, {"OBEAVER_API_KEY_FILE": str(path)})) == ("one", "two", "ann-1", "bob-1")
    assert api_keys(load_settings({}, {"OBEAVER_API_KEY": "three,four"})) == ("three", "four")
    assert api_keys(load_settings({}, {"OBEAVER_API_KEY": ""})) == ()


@pytest.mark.parametrize("key", ["", " ", " key", "key ", "k\tey", "k\ney"])
def test_a_key_that_no_header_can_hold_is_refused(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["serve", "--api-key", key])
    assert "--api-key: must " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no API key"),
        (b"# nothing else\n\n", "holds no API key"),
        (b"caf\xe9\n", "not UTF-8"),
        (b"k\0ey\n", "line 1 holds a NUL byte"),
        ("key\n".encode("utf-16"), "is UTF-16, not UTF-8 text"),
        (b"k\x01ey\n", "line 1: a key must be"),
        (b"good\nb\tad\n", "line 2: a key must be"),
    ],
)
def test_a_file_without_usable_keys_says_so_and_shows_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)

    with pytest.raises(CommandError, match=said) as caught:
        api_keys(Settings(api_key_file=str(path)))

    assert "ad" not in str(caught.value).replace(str(path), "").split()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        api_keys(Settings(api_key_file=str(tmp_path / "none")))


def test_a_file_of_keys_is_enough_to_serve_others() -> None:
    Settings(host="0.0.0.0", api_key_file="keys").check()
    with pytest.raises(CommandError, match="give --api-key"):
        Settings(host="0.0.0.0").check()


def test_a_tls_key_needs_its_certificate() -> None:
    with pytest.raises(CommandError, match="--tls-key needs --tls-cert"):
        Settings(tls_key="key.pem").check()


@pytest.mark.parametrize(("keys", "others"), [(("one", "two"), 200), ((), 429)])
async def test_clients_are_told_apart_by_keys_only_where_the_server_asks_for_them(
    keys: tuple[str, ...], others: int
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def first_is_held(_request: Request) -> TextResponse:
        if not begun.is_set():
            begun.set()
            await go.wait()
        return TextResponse("done")

    settings = Settings(api_key=keys, max_client_requests=1)
    routes = [Route("POST", "/held", first_is_held)]
    app = Application(settings, routes, nullcontext, on_drain=lambda: None, metrics=ServerMetrics())

    async def post(authorization: str) -> int | None:
        scope = asgi.http_scope("POST", "/held", headers={"authorization": authorization})
        return (await asgi.call(app, scope)).status

    first = asyncio.ensure_future(post("Bearer one"))
    await begun.wait()
    # The same key, in another writing.
    assert (await post("bearer  one"), await post("Bearer two")) == (429, others)
    go.set()
    assert (await first, await post("Bearer one")) == (200, 200)
