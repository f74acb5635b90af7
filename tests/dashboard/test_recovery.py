"""A server that was gone while a view was opened, and how soon the page says that one is gone."""

import re
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.browser import Pages
from support.server_process import ServerProcess, running

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODEL = "smollm2-135m"
GONE = "The server does not answer"


def test_a_view_that_could_not_be_loaded_comes_when_the_server_is_back(
    browser: Browser, default_model: Path, visit: Callable[[str], Pages]
) -> None:
    pages = visit("http://127.0.0.1:1")
    page = pages.open("about:blank")
    pages.allow(".*")
    port = _free_port()
    with _dashboard(port) as server:
        page.goto(server.url + "/static/index.html#/system")
        expect(page.get_by_role("article", name="CPU")).to_be_visible()
        server.process.kill()
        expect(page.locator(".server-line")).to_have_text(GONE)
        page.get_by_role("link", name="Bench").click()
        expect(page.get_by_text(GONE)).to_have_count(2)
    with _dashboard(port):
        expect(page.get_by_role("button", name="Measure")).to_be_visible()
        page.close()


def test_a_gone_server_is_told_of_within_five_seconds() -> None:
    """What the page waits for, out of its own constants: the tests above wait as long as a loaded machine needs."""
    source = (Path(__file__).parent.parent.parent / "static" / "js" / "health.js").read_text(encoding="utf-8")
    constants = {name: int(value) for name, value in re.findall(r"const (\w+_MS) = (\d+);", source)}
    assert constants["EVERY_MS"] + constants["PATIENCE_MS"] < 5000


def _dashboard(port: int) -> AbstractContextManager[ServerProcess]:
    return running([sys.executable, "-m", "obeaver", "dashboard", MODEL, "--offline", "--port", str(port)], {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
