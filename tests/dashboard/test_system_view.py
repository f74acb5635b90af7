"""The system view shows what `/api/system/memory` says, and nothing else."""

import httpx
import pytest
from playwright.sync_api import Page, expect
from support.browser import Pages

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_devices_that_are_there_have_gauges_and_lines_and_the_others_look_not_there(pages: Pages) -> None:
    memory = httpx.get(pages.origin + "/api/system/memory", timeout=60).json()
    page = pages.open("/static/index.html#/system")
    for kind, name in (("cpu", "CPU"), ("gpu", "GPU"), ("npu", "NPU")):
        card = page.get_by_role("article", name=name)
        expect(card).to_be_visible()
        there = memory[kind]["status"] != "unavailable"
        expect(card.get_by_role("meter")).to_have_count(int(there))
        expect(card.locator("canvas")).to_have_count(int(there))
        expect(card.get_by_text("not there")).to_have_count(int(not there))
    meter = page.get_by_role("meter", name="Memory of the CPU")
    assert abs(int(meter.get_attribute("aria-valuenow") or "") / 100 - memory["cpu"]["utilisation"]) < 0.5
    expect(page.get_by_role("article", name="This server")).to_contain_text(str(memory["process"]["pid"]))


def test_the_figures_are_asked_for_again_and_a_hidden_tab_asks_nothing(pages: Pages) -> None:
    page = pages.open("about:blank")
    page.clock.install()
    page.goto("/static/index.html#/system")
    expect(page.get_by_role("article", name="CPU")).to_be_visible()
    with page.expect_response("**/api/system/memory"):
        page.clock.fast_forward(3_000)
    _hide(page, hidden=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    with page.expect_response("**/health/live"):
        page.evaluate("() => void fetch('/health/live')")
    assert not [url for url in asked if url.endswith("/api/system/memory")]
    with page.expect_response("**/api/system/memory"):
        _hide(page, hidden=False)


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
