"""Real browsers on real servers: each server and the browser are started once for this folder.

The scope is the package's: while Playwright's synchronous interface is in use, no test may run an event loop of its own
in this thread.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.browser import Pages, chromium
from support.server_process import ServerProcess, serve

MODEL = "smollm2-135m"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def dashboard(browser: Browser, default_model: Path) -> Iterator[ServerProcess]:
    """`obeaver dashboard` with the default model."""
    assert default_model.is_dir()
    with serve(MODEL, "--offline", command="dashboard") as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[str], Pages]]:
    """Pages of a server, by its address; the test fails if anything goes wrong in one of them."""
    visits: list[Pages] = []

    def visit(origin: str) -> Pages:
        visits.append(Pages(browser, origin))
        return visits[-1]

    yield visit
    faults = [fault for pages in visits for fault in pages.close()]
    assert not faults, "\n".join(faults)


@pytest.fixture
def pages(dashboard: ServerProcess, visit: Callable[[str], Pages]) -> Pages:
    """Pages of the server with the default model."""
    return visit(dashboard.url)
