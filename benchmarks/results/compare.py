"""What moved between two runs, beyond the noise?

A figure has moved when Student's t-test on the logarithms of both runs' values says so with 99 % confidence, and the
medians differ by more than a floor. The test takes the noise from the values themselves: a row whose rounds differ
much has to move much. It needs two values on one side at least; where there is one on each, nothing can be said. Rows
that are computed and not timed have no noise: for them the floor alone counts.

A whole machine that is slower today moves every row. The advantages over peers, measured in the same rounds, do not
move with it, so they are compared as rows of their own.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.results.document import Results, Row

FLOOR = 0.03
"""Smaller changes matter to nobody, however sure they are."""

# Two-sided 99 % quantiles of Student's t distribution by degrees of freedom; beyond the table the next smaller entry
# is taken, which is the careful side.
_T_99 = {
    1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250, 10: 3.169,
    12: 3.055, 14: 2.977, 16: 2.921, 18: 2.878, 20: 2.845, 30: 2.750, 60: 2.660, 120: 2.617,
}  # fmt: skip


class Verdict(Enum):
    """What a pair of measurements says."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "within the noise"
    UNKNOWN = "too few values"


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in two runs.

    Attributes:
        row_id: Of the row.
        title: Of the row.
        subject: The contender, or `ours ÷ theirs` for an advantage.
        unit: Of the figures.
        before: Median of the first run.
        after: Median of the second.
        verdict: What that says.
    """

    row_id: str
    title: str
    subject: str
    unit: str
    before: float
    after: float
    verdict: Verdict

    @property
    def share(self) -> float:
        """The change, as a share of the first figure; infinite if that was 0."""
        if self.before == self.after:
            return 0.0
        return self.after / self.before - 1 if self.before else math.inf


def compare(before: Results, after: Results, *, floor: float = FLOOR) -> list[Change]:
    """Every figure that both runs have. Rows whose titles differ were measured with other lengths and are left out.

    Args:
        before: The first run.
        after: The second.
        floor: Smallest share that counts as a change.
    """
    changes: list[Change] = []
    for new in after.rows:
        old = before.row(new.metric.id)
        if old is not None and old.metric == new.metric:
            changes += _row_changes(old, new, floor)
    return changes


def _row_changes(old: Row, new: Row, floor: float) -> Iterator[Change]:
    metric = new.metric
    shared = [name for name in new.contenders if name in old.contenders]
    for name in shared:
        found = verdict(old.values(name), new.values(name), metric.higher_is_better, floor=floor, exact=new.exact)
        yield Change(metric.id, metric.title, name, metric.unit, old.median(name), new.median(name), found)
    if old.ours != new.ours or new.exact:
        return
    for name in shared:
        if name == new.ours:
            continue
        first, second = _ratios(old, name), _ratios(new, name)
        if first and second:
            found = verdict(first, second, metric.higher_is_better, floor=floor)
            medians = statistics.median(first), statistics.median(second)
            yield Change(metric.id, metric.title, f"{new.ours} ÷ {name}", "×", *medians, found)


def _ratios(row: Row, theirs: str) -> list[float]:
    """Our figure over theirs, round by round."""
    pairs = [(figures.get(row.ours), figures.get(theirs)) for figures in row.rounds]
    return [ours / other for ours, other in pairs if ours and other]


def verdict(
    before: Sequence[float],
    after: Sequence[float],
    higher_is_better: bool,
    *,
    floor: float = FLOOR,
    exact: bool = False,
) -> Verdict:
    """Whether a figure moved.

    Args:
        before: Values of the first run, at least one.
        after: Values of the second, at least one.
        higher_is_better: Which way is better.
        floor: Smallest share that counts as a change.
        exact: The values have no noise.
    """
    first, second = statistics.median(before), statistics.median(after)
    freedom = len(before) + len(after) - 2
    if not exact and freedom < 1:
        return Verdict.UNKNOWN
    if abs(second - first) <= floor * abs(first):
        return Verdict.SAME
    # A figure that is 0 or below has no logarithm; such rows are counts, and a change of a count speaks for itself.
    if not exact and min(*before, *after) > 0 and not _differ(before, after, freedom):
        return Verdict.SAME
    return Verdict.BETTER if (second > first) == higher_is_better else Verdict.WORSE


def _differ(before: Sequence[float], after: Sequence[float], freedom: int) -> bool:
    first, second = [math.log(value) for value in before], [math.log(value) for value in after]
    squares = sum((value - statistics.fmean(side)) ** 2 for side in (first, second) for value in side)
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(second)))
    quantile = _T_99[max(entry for entry in _T_99 if entry <= freedom)]
    return abs(statistics.fmean(second) - statistics.fmean(first)) > quantile * error


def print_changes(changes: Sequence[Change]) -> None:
    """What moved, then how much did not."""
    width = max((len(f"{change.title}, {change.subject}") for change in changes), default=0)
    for wanted in (Verdict.WORSE, Verdict.BETTER):
        moved = [change for change in changes if change.verdict is wanted]
        print(f"{wanted.value}: {len(moved) or 'nothing'}")
        for change in sorted(moved, key=lambda each: -abs(each.share)):
            name = f"{change.title}, {change.subject}"
            figures = f"{change.before:>10.4g} -> {change.after:<10.4g} {change.unit:6}"
            print(f"  {name:{width}}  {figures} {100 * change.share:+.1f} %")
    same = sum(change.verdict is Verdict.SAME for change in changes)
    unknown = sum(change.verdict is Verdict.UNKNOWN for change in changes)
    print(f"within the noise: {same}; too few values to tell: {unknown}")
