"""The results of a run: rows of figures, and where they come from. Written as JSON while the run goes on.

`results.schema.json` describes the file; what does not hold to it is not read.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.results.distribution import spread

FORMAT = 1
Round = dict[str, float]
"""Contender to its figure; all of one round were measured one after the other."""


class NotResults(Exception):
    """A file is not what a run writes; the text says why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that a question gives.

    Attributes:
        id: Unique in a run.
        title: For people.
        unit: Of the values.
        higher_is_better: Decides what a ratio means.
    """

    id: str
    title: str
    unit: str
    higher_is_better: bool = True


@dataclass(slots=True)
class Row:
    """One metric, measured several times on each contender.

    Attributes:
        metric: What was measured.
        group: The group of questions it belongs to.
        ours: The contender that others are compared with.
        exact: The figure is computed, not timed: it has no noise.
        rounds: The measurements.
    """

    metric: Metric
    group: str
    ours: str
    exact: bool = False
    rounds: list[Round] = field(default_factory=list)

    @property
    def contenders(self) -> list[str]:
        """Who has figures, ours first."""
        names = dict.fromkeys(name for figures in self.rounds for name in figures)
        return sorted(names, key=lambda name: name != self.ours)

    def values(self, contender: str) -> list[float]:
        """A contender's figures, in the order of the rounds."""
        return [figures[contender] for figures in self.rounds if contender in figures]

    def median(self, contender: str) -> float:
        """Of a contender's figures."""
        return statistics.median(self.values(contender))

    def spread(self, contender: str) -> float:
        """Largest distance from the median, as a share of it."""
        return spread(self.values(contender))

    def advantage(self, theirs: str) -> float | None:
        """How many times better ours is: median of the rounds' own ratios, since the machine's speed drifts."""
        ratios = []
        for figures in self.rounds:
            ours, other = figures.get(self.ours), figures.get(theirs)
            if ours and other:
                ratios.append(ours / other if self.metric.higher_is_better else other / ours)
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True, slots=True)
class Failure:
    """A contender that could not be asked a question to the end."""

    question: str
    contender: str
    reason: str


@dataclass(slots=True)
class Results:
    """One run.

    Attributes:
        settings: How it was asked for.
        environment: The machine and its software.
        contenders: Name to what is known of each.
        rows: In the order of the questions.
        failures: What could not be measured, and why.
        started: ISO 8601, UTC.
        seconds: How long it took so far, over all its parts.
    """

    settings: dict[str, Any]
    environment: dict[str, Any]
    started: str
    contenders: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def row(self, metric_id: str) -> Row | None:
        """The row of a metric, if it has figures."""
        return next((row for row in self.rows if row.metric.id == metric_id), None)

    def add(self, fresh: Sequence[Row], figures: Mapping[str, Mapping[str, float]]) -> None:
        """Take one round of a question.

        Args:
            fresh: The question's rows, without figures; taken in where there are none of the same metrics yet.
            figures: Contender to metric to value.
        """
        for row in fresh:
            metric_id = row.metric.id
            values = {name: found[metric_id] for name, found in figures.items() if metric_id in found}
            if not values:
                continue
            if self.row(metric_id) is None:
                self.rows.append(row)
            known = self.row(metric_id)
            assert known is not None
            known.rounds.append(values)

    def fail(self, failure: Failure) -> None:
        """Note a failure in place of an earlier one of the same contender and question."""
        self.forget_failure(failure.question, failure.contender)
        self.failures.append(failure)

    def forget_failure(self, question: str, contender: str) -> None:
        """It has answered after all."""
        self.failures = [old for old in self.failures if (old.question, old.contender) != (question, contender)]

    def write(self, path: Path) -> None:
        """Replace the file at once: a reader never sees half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(self._document(), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "started": self.started,
            "seconds": round(self.seconds, 1),
            "settings": self.settings,
            "environment": self.environment,
            "contenders": self.contenders,
            "rows": [_row_document(row) for row in self.rows],
            "failures": [asdict(failure) for failure in self.failures],
        }


def _row_document(row: Row) -> dict[str, Any]:
    others = [name for name in row.contenders if name != row.ours]
    return {
        **asdict(row.metric),
        "group": row.group,
        "ours": row.ours,
        "exact": row.exact,
        "rounds": [{name: float(f"{value:.6g}") for name, value in figures.items()} for figures in row.rounds],
        "medians": {name: float(f"{row.median(name):.6g}") for name in row.contenders},
        "spreads": {name: round(row.spread(name), 4) for name in row.contenders},
        "advantages": {name: round(times, 4) for name in others if (times := row.advantage(name)) is not None},
    }


def read_results(path: Path) -> Results:
    """Results that an earlier run wrote.

    Raises:
        NotResults: The file is missing, is no JSON, or does not hold to the schema.
    """
    import jsonschema

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotResults(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise NotResults(f"{path} is no JSON file: {error}") from None
    wrong = next(jsonschema.Draft202012Validator(results_schema()).iter_errors(document), None)
    if wrong is not None:
        raise NotResults(f"{path} is not the results of a run: {wrong.json_path}: {wrong.message[:200]}")
    return Results(
        settings=document["settings"],
        environment=document["environment"],
        started=document["started"],
        contenders=document["contenders"],
        rows=[_row(each) for each in document["rows"]],
        failures=[Failure(**each) for each in document["failures"]],
        seconds=document["seconds"],
    )


def results_schema() -> dict[str, Any]:
    """JSON Schema of the file."""
    text = resources.files("benchmarks.results").joinpath("results.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _row(document: Mapping[str, Any]) -> Row:
    metric = Metric(document["id"], document["title"], document["unit"], document["higher_is_better"])
    return Row(metric, document["group"], document["ours"], document["exact"], document["rounds"])
