"""From a server without a model to one that changes its model during an answer, on the page alone."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.browser import Pages, eventually, health
from support.server_process import ServerProcess, serve

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODEL, TWIN, BROKEN = "smollm2-135m", "smollm2-135m-twin", "smollm2-135m-broken"

ANSWER_IN_THE_PAGE = """async (model) => {
    const answer = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
            model, messages: [{ role: "user", content: "Count up." }], max_tokens: 600, ignore_eos: true
        }),
    });
    return answer.json();
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

    page.evaluate(f"model => {{ window.answer = ({ANSWER_IN_THE_PAGE})(model) }}", MODEL)
    eventually(page, lambda: health(empty_dashboard.url)["num_running"] == 1)
    _load(page, TWIN)
    expect(_card(page, TWIN)).to_contain_text("answers now")
    answered = page.evaluate("window.answer")
    assert (answered["model"], answered["usage"]["completion_tokens"]) == (MODEL, 600), "it ended on its model"
    expect(page.locator(".server-line")).to_have_text(TWIN)


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


def test_a_pull_that_fails_is_told_in_the_servers_words(
    browser: Browser, tmp_path: Path, visit: Callable[[str], Pages]
) -> None:
    assert browser.is_connected()
    nowhere = "http://127.0.0.1:9"
    with serve("--allow-pull", "--home", str(tmp_path / "home"), command="dashboard", HF_ENDPOINT=nowhere) as server:
        page = visit(server.url).open("/static/index.html#/models")
        page.get_by_label("From the Hugging Face hub").fill("hf:nobody/nothing")
        page.get_by_role("button", name="Fetch", exact=True).click()
        card = page.locator(".pull-card")
        expect(card).to_contain_text("hf:nobody/nothing could not be fetched")
        (pull,) = httpx.get(server.url + "/api/models/pull", timeout=60).json()["pulls"]
        expect(card).to_contain_text(pull["error"])
        page.close()
