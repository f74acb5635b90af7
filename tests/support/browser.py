"""A real browser for tests: the system's Chromium, driven by Playwright, and pages that are watched for faults."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

_OWN_SCHEMES = {"about", "blob", "data"}

_SEEDS = """
{
    const draw = crypto.getRandomValues.bind(crypto);
    let drawn = 0;
    const isSeed = (array) => array instanceof Uint32Array && array.length === 1;
    crypto.getRandomValues = (array) => (isSeed(array) ? array.fill(++drawn) : draw(array));
}"""
"""The seeds that a page draws for its answers are 1, 2, 3…, so that a test sees the same texts in every run."""

PATIENCE_MS = 180_000
"""How long a test waits for what it expects: mostly a second, but a small loaded machine may need much of it."""


def chromium_path() -> Path:
    """Where Chromium is. Without it the test is skipped, but fails where CI says that it must not be."""
    named = os.environ.get("OBEAVER_TEST_CHROMIUM")
    for name in (named,) if named else _NAMES:
        if found := shutil.which(name):
            return Path(found)
    missing = "no Chromium on this machine (apt-get install chromium): the page was not tested in a browser"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    path = chromium_path()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def eventually(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until a condition outside of the page holds; the page lives on meanwhile."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        page.wait_for_timeout(100)


def health(origin: str) -> Any:
    """What a server says of itself."""
    return httpx.get(origin + "/health", timeout=60).json()


class Watch:
    """What went wrong in the pages of one context: words on the console, exceptions, requests to elsewhere.

    A page that breaks its Content-Security-Policy says so on the console. So does a request that is answered with an
    error, so a test that provokes one has to `allow` it.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self._faults: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def allow(self, pattern: str) -> None:
        """A fault in which this pattern is found is none."""
        self._allowed.append(re.compile(pattern))

    @property
    def faults(self) -> list[str]:
        """Those that no test allowed."""
        return [fault for fault in self._faults if not any(pattern.search(fault) for pattern in self._allowed)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._faults.append(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _on_error(self, error: WebError) -> None:
        self._faults.append(f"exception: {error.error}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in _OWN_SCHEMES and f"{address.scheme}://{address.netloc}" != self._origin:
            self._faults.append(f"request to elsewhere: {request.url}")


class Pages:
    """Opens pages, each in a browser profile of its own, and watches them.

    Args:
        browser: Where.
        origin: The server's address, `http://host:port`.
    """

    def __init__(self, browser: Browser, origin: str) -> None:
        self.origin = origin
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._watches: list[Watch] = []

    def open(self, path: str = "/", *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        """A page of a fresh profile; `options` are those of Playwright's `new_context`."""
        options = {"locale": "en-US", "color_scheme": "light", **options}
        context = self._browser.new_context(
            base_url=self.origin, viewport={"width": width, "height": height}, accept_downloads=True, **options
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_SEEDS)
        self._contexts.append(context)
        self._watches.append(Watch(context, self.origin))
        page = context.new_page()
        page.goto(path)
        return page

    def allow(self, pattern: str) -> None:
        """Expect a fault in the pages that were opened so far."""
        for watch in self._watches:
            watch.allow(pattern)

    def close(self) -> list[str]:
        """Close all pages; what went wrong in them."""
        for context in self._contexts:
            context.close()
        return [fault for watch in self._watches for fault in watch.faults]
