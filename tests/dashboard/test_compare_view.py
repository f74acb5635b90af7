"""One prompt, two settings: both answers and what they took."""

import pytest
from playwright.sync_api import Locator, Page, expect
from support.browser import Pages

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize("order", ["One after the other", "Both at once"])
def test_the_same_settings_give_the_same_answer_on_both_sides(pages: Pages, order: str) -> None:
    page = _compare(pages, tokens=12)
    for side in "AB":
        _side(page, side).get_by_label("temperature").fill("0")
    page.get_by_role("button", name=order).click()
    page.get_by_role("button", name="Compare", exact=True).click()
    for side in "AB":
        expect(_side(page, side)).to_contain_text("Answer tokens12")
        expect(_side(page, side)).to_contain_text("Ended bylength")
    texts = [_side(page, side).locator(".compare-answer").inner_text() for side in "AB"]
    assert texts[0] == texts[1] != ""


def test_each_side_has_its_own_settings_and_ranges_come_from_the_schema(pages: Pages) -> None:
    page = _compare(pages, tokens=5)
    _side(page, "B").get_by_label("max_tokens").fill("9")
    temperature = _side(page, "A").get_by_label("temperature")
    assert (temperature.get_attribute("min"), temperature.get_attribute("max")) == ("0", "2")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(_side(page, "B")).to_contain_text("Answer tokens9")
    expect(_side(page, "A")).to_contain_text("Answer tokens5")


def test_what_the_server_refuses_is_said_beside_the_side_that_asked_for_it(pages: Pages) -> None:
    page = _compare(pages, tokens=5)
    pages.allow("status of 400")
    _side(page, "A").get_by_label("top_p").fill("7")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(_side(page, "A").get_by_role("status")).to_contain_text("top_p")
    expect(_side(page, "B")).to_contain_text("Answer tokens5")


def _compare(pages: Pages, *, tokens: int) -> Page:
    page = pages.open("/static/index.html#/compare")
    page.get_by_label("Prompt", exact=True).fill("Why is the sky blue?")
    for side in "AB":
        _side(page, side).get_by_label("max_tokens").fill(str(tokens))
    return page


def _side(page: Page, letter: str) -> Locator:
    return page.get_by_role("region", name=f"Side {letter}", exact=True)
