"""From a server without a model to one that changes its model during an answer, on the page alone."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from support.browser import Pages, eventually
from support.server_process import ServerProcess

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODEL, TWIN, BROKEN = "smollm2-135m", "smollm2-135m-twin", "smollm2-135m-broken"

STREAM_IN_THE_PAGE = """model => {
    window.pieces = [];
    window.leaving = new AbortController();
    const body = {
        model, messages: [{ role: "user", content: "Count up." }], max_tokens: 8000, ignore_eos: true, stream: true
    };
    const read = async () => {
        const headers = { "Content-Type": "application/json" };
        const asked = { method: "POST", headers, body: JSON.stringify(body), signal: window.leaving.signal };
        const answer = await fetch("/v1/chat/completions", asked);
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) window.pieces.push(piece.value);
    };
    read().catch(() => {});
}"""


def test_a_page_without_a_model_loads_one_and_changes_it_during_an_answer(
    empty_dashboard: ServerProcess, visit: Callable[[str], Pages]
) -> None:
    page = _models(visit(empty_dashboard.url))
    expect(page.get_by_text("No model loaded")).to_be_visible()
    with page.expect_response("**/api/models/load?wait=false") as answer:
        _load(page, MODEL)
    assert answer.value.status == 202
    expect(_card(page, MODEL)).to_contain_text("answers now")
    expect(page.get_by_text(f"{MODEL} answers now.")).to_be_visible()
    expect(page.locator(".server-line")).to_have_text(MODEL)
    expect(_card(page, MODEL)).to_contain_text("8,192 tokens")

    page.evaluate(STREAM_IN_THE_PAGE, MODEL)
    eventually(page, lambda: _num_pieces(page) > 0)
    _load(page, TWIN)
    expect(_card(page, TWIN)).to_contain_text("answers now")
    expect(page.locator(".server-line")).to_have_text(TWIN)
    num_pieces = _num_pieces(page)
    eventually(page, lambda: _num_pieces(page) > num_pieces)
    assert page.evaluate("model => window.pieces.slice(-5).join().includes(JSON.stringify(model))", MODEL), (
        "the answer goes on, on the model that began it"
    )
    page.evaluate("window.leaving.abort()")


def test_a_load_that_fails_is_told_in_the_servers_words_and_the_old_model_stays(
    empty_dashboard: ServerProcess, visit: Callable[[str], Pages]
) -> None:
    httpx.post(empty_dashboard.url + "/api/models/load", json={"alias": MODEL}, timeout=60).raise_for_status()
    told = httpx.post(empty_dashboard.url + "/api/models/load", json={"alias": BROKEN}, timeout=60).json()
    pages = visit(empty_dashboard.url)
    page = _models(pages)
    _load(page, BROKEN)
    failure = page.locator(".load-card.failed")
    expect(failure).to_contain_text(told["error"]["message"])
    expect(_card(page, MODEL)).to_contain_text("answers now")
    failure.get_by_role("button", name="Close").click()
    expect(failure).to_be_hidden()


def _models(pages: Pages) -> Page:
    page = pages.open("/static/index.html#/models")
    expect(_card(page, MODEL)).to_be_visible()
    return page


def _num_pieces(page: Page) -> int:
    number: int = page.evaluate("window.pieces.length")
    return number


def _card(page: Page, name: str) -> Locator:
    store = page.get_by_role("list", name="On this machine")
    return store.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def _load(page: Page, name: str) -> None:
    _card(page, name).get_by_role("button").click()


def test_the_catalogue_says_what_fits_and_how_to_fetch_it(
    empty_dashboard: ServerProcess, visit: Callable[[str], Pages]
) -> None:
    offer = httpx.get(empty_dashboard.url + "/api/models/catalog", timeout=60).json()["models"]
    chats = {model["name"]: model for model in offer if model["kind"] == "chat"}
    page = _models(visit(empty_dashboard.url))
    catalogue = page.get_by_role("region", name="To be had by name")
    expect(catalogue.get_by_role("listitem")).to_have_count(len(chats))
    for name, model in list(chats.items())[:3]:
        card = catalogue.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))
        expect(card).to_contain_text("installed" if model["installed"] else "fits" if model["fits"] else "too large")
    expect(catalogue.get_by_role("button", name="Fetch")).to_have_count(0)
    expect(catalogue.get_by_role("button", name="Copy the command: obeaver pull")).not_to_have_count(0)
