"""Settings: what flags and variables mean."""

import httpx
import pytest

from obeaver.cli.parser import build_parser
from obeaver.config import Settings, load_settings
from obeaver.errors import CommandError
from obeaver.option_values import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("1D", 86400), ("0", 0), ("never", 0), ("Never", 0)],
)
def test_a_time_is_told_with_or_without_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "10 m", "ten", "1e3", "inf", "10mm", "10m5s", "9" * 400])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 10m or 1h"):
        duration(text)


def test_a_models_keep_alive_and_a_streams_are_two_options() -> None:
    flags = vars(build_parser().parse_args(["serve", "--keep-alive", "10m", "--stream-keep-alive", "2"]))
    environ = {"OBEAVER_KEEP_ALIVE": "1h", "OBEAVER_STREAM_KEEP_ALIVE": "3"}
    by_flag, by_environment = load_settings(flags, environ), load_settings({}, environ)
    assert (by_flag.keep_alive_s, by_flag.stream_keep_alive_s) == (600, 2)
    assert (by_environment.keep_alive_s, by_environment.stream_keep_alive_s) == (3600, 3)
    assert (Settings().keep_alive_s, Settings().stream_keep_alive_s) == (0, 10)


def test_a_time_that_is_none_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="OBEAVER_KEEP_ALIVE must be a time such as 30s, 10m or 1h, or never"):
        load_settings({}, {"OBEAVER_KEEP_ALIVE": "soon"})
    with pytest.raises(SystemExit):
        build_parser().parse_args(["serve", "--keep-alive", "soon"])
    assert "--keep-alive: must be a time such as 30s, 10m or 1h, or never" in capsys.readouterr().err


def test_a_connection_waits_longer_for_a_request_than_clients_and_proxies_keep_theirs() -> None:
    """Else a request may be written on a connection while it is being closed, and nobody knows whether it was read."""
    nginx_upstream_s, aiohttp_s = 60, 15
    assert Settings().idle_timeout_s > max(httpx.Limits().keepalive_expiry or 0, aiohttp_s, nginx_upstream_s)


def test_serve_takes_several_models() -> None:
    assert build_parser().parse_args(["serve"]).models == []
    assert build_parser().parse_args(["serve", "one", "--port", "0", "two"]).models == ["one", "two"]


def refusal(*flags: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["serve", *flags])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://chat.example.org", "https://chat.example.org"),
        ("HTTPS://Chat.Example.org/", "https://chat.example.org"),
        ("https://chat.example.org:443", "https://chat.example.org"),
        ("http://chat.example.org:443", "http://chat.example.org:443"),
        ("http://192.168.0.2:3000", "http://192.168.0.2:3000"),
        ("http://[fe80::1]:8080", "http://[fe80::1]:8080"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("tauri://localhost", "tauri://localhost"),
        *[(text, text) for text in ("file://", "null", "*")],
    ],
)
def test_an_origin_is_one_as_browsers_send_it(text: str, origin: str) -> None:
    assert load_settings({}, {"OBEAVER_CORS_ORIGIN": text}).cors_origin == (origin,)
    flags = vars(build_parser().parse_args(["serve", "--cors-origin", text]))
    assert load_settings(flags, {}).cors_origin == (origin,)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "example.org",
            "localhost:3000",
            "//example.org",
            "https://",
            "https:///",
            "https://*.example.org",
            "http://*",
        ),
        *("vscode-webview://*", "https://example.org/app", "https://example.org?x", "https://example.org#x", ""),
        *("https://user@example.org", "https://exa mple.org", "https://example.org:0", "https://example.org:99999"),
        *("https://example.org:port", "file:///home/me/page.html", "file://:80", "about:blank", "Null", "1://x"),
    ],
)
def test_what_no_browser_sends_is_no_origin(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--cors-origin" in refusal("--cors-origin", text, capsys=capsys)
    if text:
        with pytest.raises(CommandError, match="OBEAVER_CORS_ORIGIN must"):
            load_settings({}, {"OBEAVER_CORS_ORIGIN": f"https://good.example,{text}"})


@pytest.mark.parametrize("text", ["*", "chat.example.org", "my_box", "192.168.0.2", "[::1]", "::1", "bücher.example"])
def test_a_host_header_has_a_name(text: str) -> None:
    assert len(load_settings({}, {"OBEAVER_ALLOWED_HOST": text}).allowed_host) == 1


@pytest.mark.parametrize("text", ["a.b:8080", "http://a.b", "a.b/c", "*.a.b", ".a.b", "", "a b", "[::1]:80", "a@b"])
def test_what_no_host_header_has_is_no_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "without scheme, port or path" in refusal("--allowed-host", text, capsys=capsys)


@pytest.mark.parametrize(
    ("text", "address"), [("::1", "::1"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0"), ("box", "box")]
)
def test_an_address_to_listen_on(text: str, address: str) -> None:
    assert load_settings({}, {"OBEAVER_HOST": text}).host == address


@pytest.mark.parametrize("text", ["", "127.0.0.1:80", "http://127.0.0.1", "a b", "[::1]:80", "*", "127.0.0.1/8"])
def test_an_address_with_more_than_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be an address or a name alone" in refusal("--host", text, capsys=capsys)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "", "80.5", "1e3", "٨٠"])
def test_a_port_is_one(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be a port from 0 to 65535" in refusal(f"--port={text}", capsys=capsys)


@pytest.mark.parametrize("text", ["", " ", "\t", " key", "key\n", "k\x00y"])
def test_a_key_is_one_that_a_header_can_carry(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--api-key" in refusal("--api-key", text, capsys=capsys)
    assert load_settings({}, {"OBEAVER_API_KEY": "a key"}).api_key == ("a key",)


def test_a_variable_that_is_empty_is_as_if_not_set() -> None:
    environ = dict.fromkeys(("OBEAVER_API_KEY", "OBEAVER_PORT", "OBEAVER_HOST", "OBEAVER_CORS_ORIGIN"), "")
    assert load_settings({}, environ) == load_settings({}, {})


@pytest.mark.parametrize(
    "flags",
    [
        *("--max-body-mb=inf", "--max-body-mb=nan", "--max-body-mb=-1", "--shutdown-timeout=inf", "--threads=-1"),
        *(
            "--shutdown-timeout=nan",
            "--stream-keep-alive=inf",
            "--stream-keep-alive=0",
            "--max-rows=0",
            "--max-queue=-1",
        ),
        *(
            "--threads=two",
            "--threads=100000",
            "--lookahead=-1",
            "--kv-cache-mb=1.5",
            "--prefix-cache-mb=-2",
            "--prefix-cache-disk-mb=0",
            "--runner=gpu",
        ),
        *("--log-level=loud", "--max-json-values=0", "--keep-alive=soon"),
    ],
)
def test_a_number_or_a_word_that_cannot_work_is_refused_at_the_start(
    flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "must be" in refusal(flags, capsys=capsys)


def test_a_prefix_cache_on_the_disk_needs_one_in_memory() -> None:
    with pytest.raises(CommandError, match="--prefix-cache-mb"):
        Settings(prefix_cache_dir="kv", prefix_cache_mb=0).check()
    Settings(prefix_cache_dir="kv").check()
