"""Real browsers on real servers: each server and the browser are started once for this folder.

The scope is the package's: while Playwright's synchronous interface is in use, no test may run an event loop of its own
in this thread.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.browser import Pages, chromium
from support.server_process import ServerProcess, serve

from obeaver.models.store import Store

MODEL, TWIN, BROKEN = "smollm2-135m", "smollm2-135m-twin", "smollm2-135m-broken"


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


@pytest.fixture(scope="package")
def empty_home(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the default model, the same one under another name, and one whose tokenizer is no JSON."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    for name in (MODEL, TWIN):
        shutil.copytree(default_model, home / "models" / name, copy_function=os.symlink)
    with Store(home).staging(BROKEN) as folder:
        for path in default_model.iterdir():
            if path.name not in {"store.json", "tokenizer.json"}:
                (folder / path.name).symlink_to(path)
        (folder / "tokenizer.json").write_text("none", encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def empty_dashboard(browser: Browser, empty_home: Path) -> Iterator[ServerProcess]:
    """`obeaver dashboard` without a model; a new one for each file of tests, since they load models."""
    assert browser.is_connected()
    with serve("--offline", "--home", str(empty_home), command="dashboard") as running:
        yield running
