"""The chat as a person uses it: what tests of several files do on it."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request, Route, expect
from support.browser import Pages

CHAT = "/static/index.html#/chat"
MESSAGE = "Message"


def open_chat(pages: Pages, *, tokens: int | None = 24, path: str = CHAT, **options: Any) -> Page:
    """A new chat. Its requests ask for at most this many tokens where they name no limit of their own."""
    page = pages.open(path, **options)
    expect(page.locator(".composer-input")).to_be_visible()
    if tokens is not None:
        page.route("**/v1/chat/completions", lambda route: _limit(route, tokens))
    return page


def _limit(route: Route, tokens: int) -> None:
    route.continue_(post_data=json.dumps({"max_tokens": tokens} | json.loads(route.request.post_data or "{}")))


def open_parameters(page: Page) -> None:
    page.keyboard.press("Alt+p")
    expect(page.locator(".parameters #parameter-temperature")).to_be_visible()


def close_parameters(page: Page) -> None:
    page.locator(".parameters").get_by_role("button", name="Close", exact=True).click()


def say(page: Page, text: str) -> Request:
    """Send a message; the request that went out."""
    page.locator(".composer-input").fill(text)
    with page.expect_request("**/v1/chat/completions") as sent:
        page.locator(".composer-input").press("Enter")
    return sent.value


def ask(page: Page, text: str) -> Locator:
    """Send a message and wait for the whole answer."""
    say(page, text)
    return last_answer(page)


def last_answer(page: Page) -> Locator:
    """The last answer, once it is complete."""
    answer = page.locator(".turn.assistant").last
    expect(answer).to_have_attribute("aria-busy", "false")
    expect(page.locator("#announcer")).not_to_have_text("The answer begins.")
    return answer


def body(request: Request) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(request.post_data or "")
    return sent


def save_export(path: Path, *contents: str, settings: dict[str, Any] | None = None) -> None:
    """Write an export of one conversation: a question, then these answers, each to a question of its own."""
    messages: list[dict[str, Any]] = []
    parent = None
    for at, content in enumerate(contents):
        for role, text in (("user", f"Question {at}"), ("assistant", content)):
            made = {"id": f"{role}{at}", "parent": parent, "role": role, "content": text, "created": len(messages)}
            messages.append({**made, "state": "done", "settings": settings or {}, "figures": {}})
            parent = made["id"]
    row = {"id": "x", "title": "An import", "created": 1, "updated": 1, "head": parent, "settings": {}}
    conversations = [{"row": row, "messages": messages}]
    export = {"format": "obeaver-conversations", "version": 1, "conversations": conversations}
    path.write_text(json.dumps(export), encoding="utf-8")


def import_file(page: Page, path: Path) -> None:
    """Take in an export, and open its conversation."""
    page.get_by_role("button", name="Import and export").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitem", name="Import from JSON").click()
    chooser.value.set_files(path)
    page.get_by_role("link", name="An import").click()


def rendered(turn: Locator) -> Locator:
    """Bring a turn into view, as it is, and wait until all of its text is rendered.

    It may be moving while texts above it are rendered, so this scrolls without waiting for it to be still.
    """
    turn.evaluate("turn => turn.scrollIntoView()")
    expect(turn.locator(".unrendered")).to_have_count(0)
    return turn
