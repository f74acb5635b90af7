"""Ask questions in rounds: every round asks every question of every contender, one after the other.

So contenders of one question are measured within seconds of each other, and the rounds of one question are spread over
the run: what drifts, drifts for everybody. Results are saved after each question of each round.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Never

from tqdm import tqdm

from benchmarks.load.chat_stream import StreamFailed
from benchmarks.load.generator import LoadFailed
from benchmarks.results.document import Failure, Metric, Results, Row

Measure = Callable[[], Mapping[str, float]]
"""Asks one contender once; metric to value."""


class ContenderFailed(Exception):
    """A contender could not answer a question; the text says why."""


UNABLE = (ContenderFailed, StreamFailed, LoadFailed, OSError)
"""What takes a contender out of a question, and not the run to its end."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is measured, and how on each contender.

    Attributes:
        id: Unique in a run; its metrics' ids begin with it.
        group: The group it belongs to.
        metrics: What an answer has.
        measures: Contender to how it is asked, in the order of their turns.
        ours: The contender that others are compared with.
        rounds: Most rounds that make sense; None for as many as are asked for.
        warm_up: Whether a first round is not counted.
        exact: The figures are computed, not timed.
    """

    id: str
    group: str
    metrics: Sequence[Metric]
    measures: Mapping[str, Measure]
    ours: str
    rounds: int | None = None
    warm_up: bool = True
    exact: bool = False

    def rows(self) -> list[Row]:
        """Rows for its metrics, without figures."""
        return [Row(metric, self.group, self.ours, self.exact) for metric in self.metrics]

    def rounds_done(self, results: Results) -> int:
        """Rounds that are in the results."""
        return max((len(row.rounds) for metric in self.metrics if (row := results.row(metric.id))), default=0)


@dataclass(slots=True)
class Conductor:
    """Asks the questions.

    Attributes:
        results: Takes the figures; those that it has already are not measured again.
        save: Called after each question of each round.
        rounds: How often each question is asked.
        deadline_s: Of `clock`; a question that is not expected to end before it is not begun, and nobody is asked after
            it.
        clock: Seconds.
    """

    results: Results
    save: Callable[[], None]
    rounds: int
    deadline_s: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    _lasted_s: dict[str, float] = field(default_factory=dict)
    _out: set[tuple[str, str]] = field(default_factory=set)
    _warm: set[str] = field(default_factory=set)

    def conduct(self, questions: Sequence[Question]) -> bool:
        """Ask them; whether all were asked as often as was wanted."""
        in_time = True
        due = list(self._due(questions))
        with tqdm(total=len(due), unit="question", leave=False) as bar:
            for question in due:
                if self.clock() + self._lasted_s.get(question.id, 0.0) > self.deadline_s:
                    in_time = False
                    bar.update()
                    continue
                bar.set_description(question.id)
                self._ask(question, bar)
                bar.update()
        return in_time and self.clock() <= self.deadline_s

    def _due(self, questions: Sequence[Question]) -> Iterator[Question]:
        for number in range(1, self.rounds + 1):
            for question in questions:
                wanted = self.rounds if question.rounds is None else min(self.rounds, question.rounds)
                if question.rounds_done(self.results) < number <= wanted:
                    yield question

    def _ask(self, question: Question, bar: "tqdm[Never]") -> None:
        if question.warm_up and question.id not in self._warm:
            self._round(question, bar, "warm-up")
        self._warm.add(question.id)
        begin_s = self.clock()
        figures = self._round(question, bar, "")
        self._lasted_s[question.id] = self.clock() - begin_s
        self.results.add(question.rows(), figures)
        self.save()

    def _round(self, question: Question, bar: "tqdm[Never]", note: str) -> dict[str, Mapping[str, float]]:
        figures: dict[str, Mapping[str, float]] = {}
        for name, measure in question.measures.items():
            if (question.id, name) in self._out or self.clock() > self.deadline_s:
                continue
            bar.set_postfix_str(f"{name} {note}".strip())
            try:
                figures[name] = measure()
            except UNABLE as error:
                self._out.add((question.id, name))
                reason = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
                if (name, reason) not in {(old.contender, old.reason) for old in self.results.failures}:
                    tqdm.write(f"{name} is left out of {question.id}: {reason}")
                self.results.fail(Failure(question.id, name, reason))
            else:
                self.results.forget_failure(question.id, name)
        return figures
