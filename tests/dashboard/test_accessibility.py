"""axe-core finds nothing to complain of: every view, both themes, a phone's width and a desk's."""

import json
import re

import pytest
from playwright.sync_api import Page, expect
from support.axe import axe_script, violations
from support.browser import Pages

pytestmark = [pytest.mark.real, pytest.mark.slow]

VIEWS = {
    "chat": "textarea",
    "models": ".model .facts",
    "system": "[role=meter]",
    "engine": "canvas",
    "compare": ".compare-parameters input",
    "bench": "form.bench-form",
    "settings": ".segments",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation_in_any_view(pages: Pages, theme: str, width: int) -> None:
    script = axe_script()
    page = pages.open(width=width, color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
    _chat(page)
    found = {"a chat with an answer": violations(page, script)}
    for view, landmark in VIEWS.items():
        page.evaluate("view => { location.hash = `#/${view}` }", view)
        expect(page.locator(landmark).first).to_be_visible()
        found[view] = violations(page, script)
    if width < 768:
        page.get_by_role("button", name="Menu").first.click()
        expect(page.get_by_role("link", name="Engine")).to_be_visible()
        found["menu"] = violations(page, script)
    assert not any(found.values()), json.dumps({name: faults for name, faults in found.items() if faults}, indent=1)


def _chat(page: Page) -> None:
    page.get_by_label("Message", exact=True).fill("Say hello.")
    page.keyboard.press("Enter")
    expect(page.locator("article.assistant .answer")).to_contain_text(re.compile(r"\w"))
    page.keyboard.press("Escape")
    expect(page.locator("article.assistant").get_by_text("stopped")).to_be_visible()
