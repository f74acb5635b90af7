"""The suite bites: each deliberate defect of a real server's answers is found, by the case that is named for it."""

from collections import Counter

import pytest

from conformance import recordings
from conformance.cases import Case, all_cases
from conformance.dialects import DIALECTS
from conformance.mutants.hook import DEFECTS, HEALTHY, Mutant, all_mutants
from conformance.replay import replay_case
from conformance.results import FAIL, PASS, Result
from conformance.targets import Target, Targets

pytestmark = pytest.mark.real

CASES = {case.name: case for case in all_cases()}
MUTANTS = all_mutants()


def made(case: Case, targets: Targets, url: str, label: str) -> Result:
    """The case with the newest traffic of its SDK for Python, behind the proxy."""
    healthy = targets.of_case(case)
    target = Target(f"{url}/@{label}/v1", healthy.api_key, healthy.facts).spoken_to_in(case.dialect)
    captured = [item for item in recordings.load() if item.client == f"{case.dialect.sdk}-python"]
    newest = max(captured, key=lambda item: [int(part) for part in item.version.split(".")])
    return replay_case(case, None if case.is_http else newest, target)


def test_there_are_at_least_25_defects_of_each_dialect_and_each_has_its_line() -> None:
    counts = Counter(CASES[mutant.case].dialect.name for mutant in MUTANTS)
    assert all(counts[dialect.name] >= 25 for dialect in DIALECTS), counts
    assert sorted(mutant.name for mutant in MUTANTS) == sorted(DEFECTS)
    assert [mutant.name for mutant in MUTANTS if mutant.case not in CASES] == []


@pytest.mark.parametrize("name", dict.fromkeys(mutant.case for mutant in MUTANTS))
def test_the_healthy_server_passes_each_case_that_finds_a_defect(
    name: str, healthy_targets: Targets, mutants_url: str
) -> None:
    result = made(CASES[name], healthy_targets, mutants_url, HEALTHY)
    assert result.details == ()
    assert result.outcome == PASS


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_defect_is_found_by_the_case_that_is_named_for_it(
    mutant: Mutant, healthy_targets: Targets, mutants_url: str
) -> None:
    result = made(CASES[mutant.case], healthy_targets, mutants_url, mutant.name)
    assert result.outcome == FAIL
    assert any(mutant.says in text for text in result.details), result.details
