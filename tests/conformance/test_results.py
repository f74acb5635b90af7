"""What results become: gaps, the exit status and the report."""

import json
from pathlib import Path

import pytest

from conformance import report
from conformance.cases import all_cases
from conformance.results import FAIL, GAP, NOT_OFFERED, PASS, Result, load_gaps, result, with_gaps

ABOUT = {"Models": "toy"}


def one(outcome: str, client: str = "HTTP", case: str = "A case holds", details: tuple[str, ...] = ()) -> Result:
    return Result("OpenAI", "Errors", case, client, outcome, details)


def test_a_test_passes_where_nothing_was_found() -> None:
    case = all_cases()[0]
    assert result(case, "HTTP", []).outcome == PASS
    assert result(case, "HTTP", ["wrong", "wrong", "worse"]).details == ("wrong", "worse")


def test_a_listed_failure_is_a_gap_and_a_listed_pass_is_a_failure_of_the_list() -> None:
    gaps = {("A case holds", "*"): "for now"}
    assert [item.outcome for item in with_gaps([one(FAIL), one(PASS), one(NOT_OFFERED)], gaps)] == [
        GAP,
        FAIL,
        NOT_OFFERED,
    ]
    assert [item.outcome for item in with_gaps([one(FAIL)], {("A case holds", "node"): "for now"})] == [FAIL]


def test_a_gap_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gaps.json"
    path.write_text(json.dumps({"gaps": [{"case": "A case holds"}]}), encoding="utf-8")
    with pytest.raises(ValueError, match="no reason"):
        load_gaps(path)


def test_the_suites_own_gaps_name_cases_that_exist() -> None:
    names = {case.name for case in all_cases()}
    gaps = load_gaps(Path(report.__file__).parent / "gaps.json")
    assert [case for case, _client in gaps if case not in names] == []


def test_a_cell_counts_and_says_what_is_not_offered() -> None:
    results = [one(PASS), one(FAIL), one(GAP), one(NOT_OFFERED, "SDKs")]
    matrices = report.as_object(results, ABOUT)["matrices"]
    assert matrices == {"OpenAI": {"Errors": {"HTTP": "1/3 (1 fail, 1 gap)", "SDKs": "not offered"}}}


def test_the_page_names_each_failure_with_its_clients_and_the_table_can_be_taken_out(tmp_path: Path) -> None:
    results = [one(FAIL, "a", details=("wrong",)), one(FAIL, "b", details=("wrong",)), one(PASS, "b", "Another holds")]
    path = tmp_path / "REPORT.md"
    path.write_text(report.as_markdown(results, ABOUT), encoding="utf-8")
    assert "- A case holds (a, b): wrong" in path.read_text(encoding="utf-8")
    assert report.feature_table(path).splitlines() == [
        "| OpenAI | a | b |",
        "| --- | --- | --- |",
        "| Errors | 0/1 (1 fail) | 1/2 (1 fail) |",
    ]


def test_the_terminal_shows_failures_and_one_line_of_counts() -> None:
    text = report.as_text([one(PASS), one(FAIL, details=("wrong",))])
    assert "FAIL  A case holds  [HTTP]\n      wrong" in text
    assert text.endswith("1 pass, 1 fail")
