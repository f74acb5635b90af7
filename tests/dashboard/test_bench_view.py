"""The bench measures the loaded model and hands out what it measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.browser import Pages, eventually, health

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_run_gives_a_row_for_each_concurrency_and_its_results_as_json(pages: Pages, tmp_path: Path) -> None:
    page = _bench(pages, at_once="1, 3", tokens=6)
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("Done.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("canvas")).to_have_count(2)
    report = _saved(page, tmp_path)
    assert report["status"] == "done"
    assert report["model"] == "smollm2-135m"
    assert [row["concurrency"] for row in report["rows"]] == [1, 3]
    assert all(
        row["answer_tokens"] == 6 and row["tokens_per_s"] > 0 and row["first_token_s"] > 0 for row in report["rows"]
    )
    assert all(row["cached_tokens"] == 0 for row in report["rows"]), "nothing that was measured came from the cache"
    assert [len(wave["first_token_s"]) for wave in report["waves"]] == [1, 1, 3, 3]


def test_a_stopped_run_says_how_far_it_came_and_frees_its_places(pages: Pages) -> None:
    page = _bench(pages, at_once="2", tokens=3900)
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("1 of 2: Short question, 2 at once")).to_be_visible()
    page.get_by_role("link", name="System").click()
    page.get_by_role("link", name="Bench").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped after 0 of 2.")).to_be_visible()
    eventually(page, lambda: health(pages.origin)["num_running"] == 0)
    expect(page.get_by_role("button", name="Measure")).to_be_enabled()


def test_a_plan_that_makes_no_sense_is_refused_in_words(pages: Pages) -> None:
    page = _bench(pages, at_once="none", tokens=6)
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_role("alert")).to_contain_text("from 1 to 64")


def _bench(pages: Pages, *, at_once: str, tokens: int) -> Page:
    page = pages.open("/static/index.html#/bench")
    page.get_by_label("Long text").uncheck()
    page.get_by_label("At once").fill(at_once)
    page.get_by_label("Tokens of each answer").fill(str(tokens))
    return page


def _saved(page: Page, folder: Path) -> Any:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    download.value.save_as(folder / "bench.json")
    return json.loads((folder / "bench.json").read_text(encoding="utf-8"))
