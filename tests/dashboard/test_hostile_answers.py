"""Whatever stands in an answer, nothing of it runs, leaves the origin, covers the page or stops it."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from support.browser import Pages
from support.hostile_answers import ANSWERS, MARKUP

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_in_a_conversation_harms_nothing(pages: Pages, tmp_path: Path, name: str) -> None:
    page = pages.open()
    _take_in(page, tmp_path / "conversation.json", ANSWERS[name])
    expect(page.locator("article.assistant").first).to_be_visible()
    expect(page.locator("article.assistant .unrendered")).to_have_count(0)
    _is_unharmed(page, pages.origin)


def test_a_hostile_answer_that_the_real_model_streams_harms_nothing(pages: Pages) -> None:
    page = pages.open()
    page.route("**/v1/chat/completions", lambda route: _with_choice(route, MARKUP))
    page.get_by_label("Message", exact=True).fill("Say it.")
    page.keyboard.press("Enter")
    expect(page.locator("article.assistant").get_by_text("ended by itself")).to_be_visible()
    _is_unharmed(page, pages.origin)


def _with_choice(route: Route, text: str) -> None:
    """The request as the page made it, but the model may give no other answer than this."""
    body = json.loads(route.request.post_data or "{}")
    route.continue_(post_data=json.dumps(body | {"choice": [text], "max_tokens": 4096}))


def _take_in(page: Page, file: Path, answer: str) -> None:
    """Import a conversation that somebody else wrote, and open it."""
    messages = [
        {"id": "1", "parent": None, "role": "user", "content": "Say it."},
        {"id": "2", "parent": "1", "role": "assistant", "content": answer, "state": "done"},
    ]
    row = {"id": "c", "title": "Hostile", "head": "2", "created": 1, "updated": 1}
    export = {"format": "obeaver-conversations", "version": 1, "conversations": [{"row": row, "messages": messages}]}
    file.write_text(json.dumps(export), encoding="utf-8")
    page.get_by_role("button", name="Import and export").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitem", name="Import from JSON").click()
    chooser.value.set_files(file)
    page.get_by_role("link", name="Hostile").click()


def _is_unharmed(page: Page, origin: str) -> None:
    page.wait_for_timeout(500)
    assert page.evaluate("window.harmed") is None
    assert page.url.startswith(origin)
    forbidden = (
        "script, iframe, object, embed, form:not(.composer), base, meta, link, style, [onerror], [onload], [onclick]"
    )
    assert page.locator("article.assistant").locator(forbidden).count() == 0
    covering = page.evaluate(
        """() => {
            const bar = document.querySelector(".sidebar").getBoundingClientRect();
            const top = document.elementFromPoint(bar.x + bar.width / 2, bar.y + 10);
            return top.closest(".sidebar") === null;
        }"""
    )
    assert not covering, "the sidebar is covered"
    page.get_by_role("link", name="System").click()
    expect(page.get_by_role("article", name="CPU")).to_be_visible()
