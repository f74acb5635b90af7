"""What a model says harms nobody: the page shows it, and does nothing that it says."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.browser import Pages

from dashboard.chat_page import close_parameters, import_file, last_answer, open_chat, open_parameters, save_export, say

pytestmark = [pytest.mark.real, pytest.mark.slow]

ATTACKS = (
    "<script>window.harmed = 1</script>",
    '<img src="x" onerror="window.harmed = 2">',
    "<svg onload='window.harmed = 3'></svg>",
    "[a](javascript:window.harmed=4) [b](data:text/html,x) <a href='javascript:window.harmed=5'>c</a>",
    "<style>* { display: none }</style><div style='position: fixed; inset: 0'>cover</div>",
    "[www.bank.example](https://thief.example/login) ![picture](https://thief.example/p.png)",
    "<form action='https://thief.example'><input name='parentNode'></form><iframe src='/'></iframe>",
    "$\\href{javascript:window.harmed=6}{x}$ $\\includegraphics{https://thief.example/p.png}$",
)

DEPTH = """root => {
    const depthOf = (at) => (at === root ? 0 : 1 + depthOf(at.parentElement));
    return Math.max(...[...root.querySelectorAll("*")].map(depthOf));
}"""

HEAVY = {
    "200 kB": (
        "Some *words* with **weight** and [a link](https://example.org).\n\n- one\n- two\n\n```js\nlet a;\n```\n\n"
        * 1950
    ),
    "nested quotes": ">" * 5000 + " deep",
    "nested quotes, apart": "> " * 5000 + "deep",
    "nested lists": "- " * 5000 + "deep",
    "nested lists in lines": "\n".join(" " * (2 * depth) + "- deep" for depth in range(400)),
    "a broken table": "|a|b\n|-|-\n" + "|1|2|3\n|\n" * 1500,
    "brackets": "[" * 50_000,
    "stars": "*a_" * 10_000,
    "one word": "a" * 200_000,
}


def test_a_model_that_says_it_does_no_harm(pages: Pages) -> None:
    """The model is held to these very words, so this is a real answer from end to end."""
    page = open_chat(pages, tokens=2000)  # a sampled spelling of the same words may take many
    open_parameters(page)
    page.get_by_label("Form of the answer").select_option("choice")
    page.get_by_label("Definition of the form").fill("Look: " + " ".join(ATTACKS))
    close_parameters(page)
    say(page, "Attack.")
    answer = last_answer(page)
    expect(answer.locator(".answer")).to_contain_text("<script>window.harmed = 1</script>")
    _is_harmless(page)
    expect(answer.locator(".link-host")).to_have_text("thief.example")
    assert (
        answer.locator("a").evaluate_all("links => links.map(link => [link.protocol, link.rel, link.target])")
        == [["https:", "noopener noreferrer nofollow", "_blank"]] * 2
    )


def test_the_same_in_blocks_of_their_own_and_after_a_reload(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "a.json", "\n\n".join(ATTACKS), *ATTACKS)
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    expect(page.locator(".turn.assistant").last.locator(".answer")).to_contain_text("includegraphics")
    _is_harmless(page)
    page.reload()
    expect(page.locator(".turn.assistant").last.locator(".answer")).to_contain_text("includegraphics")
    _is_harmless(page)


def test_heavy_text_is_shown_and_the_page_lives(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "a.json", *HEAVY.values())
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    page.locator(".composer-input").fill("Still here")
    for turn in reversed(page.locator(".turn.assistant").all()):
        turn.scroll_into_view_if_needed()
        expect(turn.locator(".answer > *").first).to_be_attached()
    for name, turn in zip(HEAVY, page.locator(".turn.assistant").all(), strict=True):
        assert turn.evaluate(DEPTH) < 60, name
        assert len(turn.text_content() or "") > 4, name
    page.locator(".composer-input").press("End")
    page.keyboard.type("!")
    expect(page.locator(".composer-input")).to_have_value("Still here!")


def test_html_that_a_file_name_or_a_title_has_is_text(pages: Pages, tmp_path: Path) -> None:
    save_export(tmp_path / "a.json", "x")
    export = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    export["conversations"][0]["row"]["title"] = "An import <img src=x onerror='window.harmed=7'>"
    (tmp_path / "a.json").write_text(json.dumps(export), encoding="utf-8")
    page = open_chat(pages, tokens=None)
    import_file(page, tmp_path / "a.json")
    expect(page.locator(".chat-title")).to_contain_text("<img src=x")
    _is_harmless(page)


def _is_harmless(page: Page) -> None:
    assert page.evaluate("window.harmed") is None
    found = page.locator(".turns").locator(
        "script, style, img, iframe, form:not(.tool-cards), input, [onerror], [onload]"
    )
    assert found.count() == 0
    # What covers the page would be on top of the composer.
    assert (
        page.evaluate(
            """() => {
            const box = document.querySelector(".composer-input").getBoundingClientRect();
            return document.elementFromPoint(box.x + 20, box.y + 10).className;
        }"""
        )
        == "composer-input"
    )
