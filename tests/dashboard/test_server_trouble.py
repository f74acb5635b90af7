"""A stalled or killed server: the page says so within 5 s, keeps what was typed and said, and recovers by itself."""

import os
import re
import signal
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from support.browser import Pages
from support.server_process import ServerProcess, running, serve

from dashboard.chat_page import ask, last_answer, open_chat, say

pytestmark = [pytest.mark.real, pytest.mark.slow]

SOON_MS = 5_000
NETWORK_FAULTS = r"ERR_|Failed to load resource"


def test_a_server_that_is_killed_during_an_answer_and_started_again(visit: Callable[[str], Pages]) -> None:
    with serve("smollm2-135m", "--offline", command="dashboard") as server:
        pages = visit(server.url)
        page = open_chat(pages, tokens=2000)
        say(page, "Tell a long story about a river.")
        expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
        page.locator(".composer-input").fill("What I am typing")
        server.process.kill()
        _says_gone(page, pages)
    said = last_answer(page).locator(".answer").inner_text()
    assert len(said) > 10
    expect(page.locator(".error-box")).to_contain_text("What was said so far is kept.")
    with running(_line(server), {}):
        _recovers(page)
        expect(page.locator(".turn.assistant .answer")).to_contain_text(said.split()[0])
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".turn.assistant .answer")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
        page.keyboard.press("Escape")
        last_answer(page)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process for a while")
def test_a_server_that_stalls(visit: Callable[[str], Pages]) -> None:
    with serve("smollm2-135m", "--offline", command="dashboard") as server:
        pages = visit(server.url)
        page = open_chat(pages, tokens=4)
        ask(page, "Hello")
        page.locator(".composer-input").fill("What I am typing")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            _says_gone(page, pages)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        _recovers(page)
        page.locator(".composer-input").press("Enter")
        last_answer(page)


def _says_gone(page: Page, pages: Pages) -> None:
    pages.allow(NETWORK_FAULTS)
    expect(page.locator(".notice")).to_contain_text("The server does not answer.", timeout=SOON_MS)
    expect(page.locator(".server-line")).to_have_text("The server does not answer")
    expect(page.locator(".composer-input")).to_have_value("What I am typing")


def _recovers(page: Page) -> None:
    expect(page.locator(".notice")).to_be_hidden()
    expect(page.locator(".server-line")).to_have_text("smollm2-135m")
    expect(page.locator(".composer-input")).to_have_value("What I am typing")


def _line(server: ServerProcess) -> list[str]:
    """The command line of the same server, on the port that it had."""
    port = str(urlsplit(server.url).port)
    return [sys.executable, "-m", "obeaver", "dashboard", "smollm2-135m", "--offline", "--port", port]
