"""A model that is fetched from the page, from a hub that stands in: under way, cancelled, failed, there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.browser import Pages, eventually
from support.disk import bytes_below
from support.hub_server import HubServer, Repo, hub_server
from support.server_process import ServerProcess, serve

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXPORT = Path(__file__).parent.parent / "data" / "builder_exports" / "llama_int4"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with hub_server() as running:
        files = {path.name: path.read_bytes() for path in EXPORT.iterdir()}
        files["chat_template.jinja"] = b"{% for message in messages %}{{ message.content }}{% endfor %}"
        running.repos["Org/Tiny-ONNX"] = Repo(files)
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pull") / "home"


@pytest.fixture(scope="module")
def pulling(browser: Browser, hub: HubServer, home: Path) -> Iterator[ServerProcess]:
    """`obeaver dashboard --allow-pull` on an empty store."""
    assert browser.is_connected()
    environ = {"HF_TOKEN": "", **hub.environment()}
    with serve("--allow-pull", "--home", str(home), command="dashboard", **environ) as server:
        yield server


def test_a_model_is_fetched_cancelled_and_fetched_again_and_answers(
    pulling: ServerProcess, hub: HubServer, home: Path, visit: Callable[[str], Pages]
) -> None:
    page = visit(pulling.url).open("/static/index.html#/models")
    hub.gate.clear()
    card = _fetch(page, "hf:Org/Tiny-ONNX")
    expect(card.get_by_role("progressbar")).to_be_visible()
    eventually(page, lambda: bytes_below(home / "downloads", "*.part") > 0)
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_contain_text("cancelled")
    expect(card.get_by_role("button", name="Cancel")).to_be_hidden()
    hub.gate.set()
    _fetch(page, "hf:Org/Tiny-ONNX")
    expect(card).to_contain_text("tiny-onnx is installed.")
    store = page.get_by_role("list", name="On this machine")
    store.get_by_role("button", name="Load").click()
    expect(store).to_contain_text("answers now")
    page.keyboard.press("Alt+n")
    page.locator(".composer-input").fill("a")
    page.locator(".composer-input").press("Enter")
    expect(page.locator(".turn.assistant .figures")).to_contain_text("tiny-onnx")


def test_a_pull_that_fails_is_told_in_the_servers_words(pulling: ServerProcess, visit: Callable[[str], Pages]) -> None:
    page = visit(pulling.url).open("/static/index.html#/models")
    card = _fetch(page, "hf:Org/Nothing")
    expect(card).to_contain_text("hf:Org/Nothing could not be fetched")
    pull = httpx.get(pulling.url + "/api/models/pull", timeout=60).json()["pulls"][0]
    expect(card).to_contain_text(pull["error"])


def _fetch(page: Page, address: str) -> Locator:
    page.get_by_label("From the Hugging Face hub").fill(address)
    page.get_by_role("button", name="Fetch", exact=True).click()
    return page.locator(".pull-card")
