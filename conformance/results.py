"""What came of each test, and the gaps that are known."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.cases import Case

PASS, FAIL, GAP, NOT_OFFERED, SKIPPED = "pass", "fail", "gap", "not offered", "skipped"
EVERY_CLIENT = "*"


@dataclass(frozen=True, slots=True)
class Result:
    """One case with one client.

    Attributes:
        dialect: Table of the report.
        feature: Row of it.
        case: The case's name.
        client: Column of it.
        outcome: `pass`, `fail`, `gap`, `not offered` or `skipped`.
        details: Violations, or the reason.
    """

    dialect: str
    feature: str
    case: str
    client: str
    outcome: str
    details: tuple[str, ...] = ()


def result(case: Case, client: str, found: Iterable[str]) -> Result:
    """What a test came to: it passes where nothing was found."""
    details = tuple(dict.fromkeys(found))
    return Result(case.dialect.title, case.feature, case.name, client, FAIL if details else PASS, details)


def load_gaps(path: Path) -> dict[tuple[str, str], str]:
    """Known gaps: (case, client) to the reason; the client may be `*`.

    Raises:
        ValueError: An entry has no reason.
    """
    gaps: dict[tuple[str, str], str] = {}
    for item in json.loads(path.read_text(encoding="utf-8"))["gaps"]:
        if not item.get("reason"):
            raise ValueError(f"{path.name}: the gap {item.get('case')!r} has no reason")
        gaps[item["case"], item.get("client", EVERY_CLIENT)] = item["reason"]
    return gaps


def with_gaps(results: Iterable[Result], gaps: Mapping[tuple[str, str], str]) -> list[Result]:
    """Results in which a known failure is a gap, and a listed gap that passes is a failure of the list."""
    done = []
    for item in results:
        reason = gaps.get((item.case, item.client)) or gaps.get((item.case, EVERY_CLIENT))
        if reason and item.outcome == FAIL:
            done.append(replace(item, outcome=GAP, details=(reason, *item.details)))
        elif reason and item.outcome == PASS:
            done.append(replace(item, outcome=FAIL, details=("this is listed as a gap, and it passes: take it off",)))
        else:
            done.append(item)
    return done
