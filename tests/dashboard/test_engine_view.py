"""The engine view shows what is computed while it is computed, and which requests came."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from support.browser import Pages, eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_running_answer_is_a_row_that_grows_and_then_a_line_of_the_log(pages: Pages) -> None:
    page = pages.open("/static/index.html#/engine")
    expect(page.get_by_text("Nothing is computed now.")).to_be_visible()
    with _endless_answer(page) as request_id:
        row = page.locator(".engine-row")
        expect(row.get_by_text("answer", exact=True)).to_be_visible()
        expect(row).to_contain_text(re.compile(r"prompt (\d+) of \1 "))
        shown = _answer_tokens(row)
        eventually(page, lambda: _answer_tokens(row) > shown)
        expect(page.locator(".tile").filter(has_text="Running")).to_contain_text("1 of 16 rows")
    expect(page.get_by_text("Nothing is computed now.")).to_be_visible()
    line = page.get_by_role("row").filter(has_text=request_id)
    expect(line).to_contain_text("/v1/chat/completions")
    expect(line).to_contain_text("broken off")
    expect(page.locator("canvas")).to_have_count(2)


def test_a_request_that_failed_is_in_the_log_with_its_status(pages: Pages) -> None:
    page = pages.open("/static/index.html#/engine")
    answer = httpx.post(pages.origin + "/v1/chat/completions", json={"messages": 7}, timeout=60)
    line = page.get_by_role("row").filter(has_text=answer.headers["x-request-id"])
    expect(line.get_by_text("400", exact=True)).to_be_visible()


def test_a_tab_that_nobody_sees_holds_no_connection(pages: Pages) -> None:
    page = pages.open("/static/index.html#/engine")
    expect(page.get_by_text("Nothing is computed now.")).to_be_visible()
    with page.expect_event("requestfailed", lambda request: "/api/engine" in request.url):
        _hide(page, hidden=True)
    with page.expect_request("**/api/engine?stream=true"):
        _hide(page, hidden=False)


def _answer_tokens(row: Locator) -> int:
    found = re.search(r"answer ([\d,]+)$", row.locator(".muted").inner_text())
    assert found
    return int(found[1].replace(",", ""))


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@contextmanager
def _endless_answer(page: Page) -> Iterator[str]:
    """A stream that the page reads until the block ends; the id of its request."""
    yield page.evaluate(
        """async () => {
            window.leaving = new AbortController();
            const answer = await fetch("/v1/chat/completions", {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({
                    messages: [{ role: "user", content: "Count." }], max_tokens: 8000, ignore_eos: true, stream: true
                }),
                signal: window.leaving.signal,
            });
            answer.text().catch(() => {});
            return answer.headers.get("x-request-id");
        }"""
    )
    page.evaluate("window.leaving.abort()")
