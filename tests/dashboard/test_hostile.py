"""What a model says harms nobody: nothing of it runs, leaves the origin, covers the page or stops it."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from support.browser import Pages
from support.hostile_answers import ANSWERS, SPOKEN

from dashboard.chat_page import import_file, last_answer, open_chat, rendered, save_export, say

pytestmark = [pytest.mark.real, pytest.mark.slow]

DEPTH = """root => {
    const depthOf = (at) => (at === root ? 0 : 1 + depthOf(at.parentElement));
    return Math.max(...[...root.querySelectorAll("*")].map(depthOf));
}"""

FORBIDDEN = (
    "script, style, iframe, object, embed, img, input, base, meta, link, "
    "form:not(.tool-cards), [onerror], [onload], [onclick], [ontoggle], .answer [style]:not(.formula *)"
)

ON_TOP = """name => {
    const box = document.querySelector(name).getBoundingClientRect();
    return document.elementFromPoint(box.x + 20, box.y + 10).closest(name) !== null;
}"""

COUNT_CHANGES = """turn => {
    window.changes = 0;
    const count = (records) => (window.changes += records.some(({ target }) => target.className.includes("answer")));
    new MutationObserver(count).observe(turn, { childList: true, subtree: true });
}"""


def test_a_model_that_says_it_does_no_harm(pages: Pages) -> None:
    """The model may say nothing but these very words, so this is a real answer from end to end."""
    page = open_chat(pages, tokens=None)
    page.route("**/v1/chat/completions", lambda route: _with_choice(route, SPOKEN))
    say(page, "Attack.")
    answer = last_answer(page)
    expect(answer.get_by_text("ended by itself")).to_be_visible()
    expect(answer.locator(".answer")).to_contain_text("<script>window.harmed = 1</script>")
    expect(answer.locator(".link-host").first).to_have_text("evil.example")
    links = answer.locator("a").evaluate_all("links => links.map(link => [link.protocol, link.rel, link.target])")
    assert links
    assert set(map(tuple, links)) == {("https:", "noopener noreferrer nofollow", "_blank")}
    _is_harmless(page, pages.origin)


def test_what_somebody_else_wrote_harms_nothing_and_the_page_lives(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "a.json", *ANSWERS.values())
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    pages.allow("status of 400.*/v1/tokenize")
    page.locator(".composer-input").fill("Still here")
    turns = page.locator(".turn.assistant")
    expect(turns).to_have_count(len(ANSWERS))
    for at, name in reversed(list(enumerate(ANSWERS))):
        turn = rendered(turns.nth(at))
        assert turn.evaluate(DEPTH) < 60, name
        assert len(turn.text_content() or "") > 4, name
    page.locator(".composer-input").press("End")
    page.keyboard.type("!")
    expect(page.locator(".composer-input")).to_have_value("Still here!")
    page.wait_for_selector(".token-count.full")
    _is_harmless(page, pages.origin)
    page.go_back()
    page.reload()
    rendered(page.locator(".turn.assistant").first)
    _is_harmless(page, pages.origin)


def test_a_long_text_does_not_move_while_it_is_rendered(pages: Pages, tmp_path: Path) -> None:
    """However slow the machine is: a text that stands in the store appears at once, not block by block."""
    save_export(tmp_path / "a.json", ANSWERS["200 kB"][:50_000], *["short"] * 40)
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    turn = page.locator(".turn.assistant").first
    expect(turn.locator(".unrendered")).to_be_attached()
    turn.evaluate(COUNT_CHANGES)
    rendered(turn)
    assert page.evaluate("window.changes") in {1, 2}


def test_html_that_a_file_name_or_a_title_has_is_text(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "a.json", "x")
    export = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    export["conversations"][0]["row"]["title"] = "An import <img src=x onerror='window.harmed=7'>"
    (tmp_path / "a.json").write_text(json.dumps(export), encoding="utf-8")
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    expect(page.locator(".chat-title")).to_contain_text("<img src=x")
    _is_harmless(page, pages.origin)


def _with_choice(route: Route, text: str) -> None:
    """The request as the page made it, but the model may give no other answer than this."""
    body = json.loads(route.request.post_data or "{}")
    # A sampled spelling of the same words may take many tokens.
    route.continue_(post_data=json.dumps(body | {"choice": [text], "max_tokens": 4096}))


def _is_harmless(page: Page, origin: str) -> None:
    assert page.locator(".turns").locator(FORBIDDEN).count() == 0
    for covered in (".composer-input", ".sidebar"):
        assert page.evaluate(ON_TOP, covered), f"{covered} is covered"
    page.locator('.sidebar a[href="#/system"]').click()
    # Not `expect`: each time that does not hold, it takes a snapshot of the page, for minutes where one is so long.
    page.wait_for_selector("main .devices > *")
    assert page.evaluate("window.harmed") is None
    assert page.url.startswith(origin)
