"""From a server without a model to one that changes its model during an answer, on the page alone."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from support.browser import Pages, eventually, health
from support.server_process import ServerProcess

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
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def _load(page: Page, name: str) -> None:
    _card(page, name).get_by_role("button").click()
