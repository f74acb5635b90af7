"""A stalled or killed server: the page says so soon, keeps what was typed and said, and recovers by itself."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import Pages
from support.server_process import ServerProcess, held_port, running

from dashboard.chat_page import ask, last_answer, open_chat, say

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODEL = "smollm2-135m"
GONE = "The server does not answer"
NETWORK_FAULTS = r"ERR_|Failed to load resource|Failed to fetch dynamically imported module"


class Mortal:
    """A server that can be killed and comes again on the same port."""

    def __init__(self, port: int) -> None:
        self._line = [sys.executable, "-m", "obeaver", "dashboard", MODEL, "--offline", "--port", str(port)]
        self._running = ExitStack()
        self.server = self._start()

    def _start(self) -> ServerProcess:
        return self._running.enter_context(running(self._line, {}))

    def kill(self) -> None:
        self.server.process.kill()
        self._running.close()

    def come_again(self) -> None:
        self.server = self._start()

    def end(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def mortal(browser: Browser, default_model: Path) -> Iterator[Mortal]:
    assert browser.is_connected()
    assert default_model.is_dir()
    with held_port() as port:
        server = Mortal(port)
        yield server
        server.end()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process for a while")
def test_a_server_that_stalls(mortal: Mortal, visit: Callable[[str], Pages]) -> None:
    pages = visit(mortal.server.url)
    page = open_chat(pages, tokens=4)
    ask(page, "Hello")
    page.locator(".composer-input").fill("What I am typing")
    pages.allow(NETWORK_FAULTS)
    os.kill(mortal.server.process.pid, signal.SIGSTOP)
    try:
        _says_gone(page)
    finally:
        os.kill(mortal.server.process.pid, signal.SIGCONT)
    _recovers(page)
    page.locator(".composer-input").press("Enter")
    last_answer(page)


def test_a_server_that_is_killed_during_an_answer_and_comes_again(
    mortal: Mortal, visit: Callable[[str], Pages]
) -> None:
    pages = visit(mortal.server.url)
    page, other = open_chat(pages, tokens=8000), pages.open("/static/index.html#/system")
    expect(other.get_by_role("article", name="CPU")).to_be_visible()
    say(page, "Tell a long story about a river.")
    expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    page.locator(".composer-input").fill("What I am typing")
    pages.allow(NETWORK_FAULTS)
    mortal.kill()
    _says_gone(page)
    said = last_answer(page).locator(".answer").inner_text()
    assert len(said) > 10
    expect(page.locator(".error-box")).to_contain_text("What was said so far is kept.")
    expect(other.locator(".server-line")).to_have_text(GONE)
    other.get_by_role("link", name="Bench").click()
    expect(other.get_by_text(GONE)).to_have_count(2)

    mortal.come_again()
    _recovers(page)
    expect(page.locator(".turn.assistant .answer")).to_contain_text(said.split()[0])
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    page.keyboard.press("Escape")
    last_answer(page)
    expect(other.get_by_role("button", name="Measure")).to_be_visible()


def test_a_gone_server_is_told_of_within_five_seconds() -> None:
    """What the page waits for, out of its own constants: the tests above wait as long as a loaded machine needs."""
    source = (Path(__file__).parent.parent.parent / "static" / "js" / "health.js").read_text(encoding="utf-8")
    constants = {name: int(value) for name, value in re.findall(r"const (\w+_MS) = (\d+);", source)}
    assert constants["EVERY_MS"] + constants["PATIENCE_MS"] < 5000


def _says_gone(page: Page) -> None:
    expect(page.locator(".notice")).to_contain_text("The server does not answer.")
    expect(page.locator(".server-line")).to_have_text(GONE)
    expect(page.locator(".composer-input")).to_have_value("What I am typing")


def _recovers(page: Page) -> None:
    expect(page.locator(".notice")).to_be_hidden()
    expect(page.locator(".server-line")).to_have_text(MODEL)
    expect(page.locator(".composer-input")).to_have_value("What I am typing")
