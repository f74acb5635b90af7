"""Who is asked when, and what becomes of those who fail or come too late."""

from collections.abc import Mapping

from benchmarks.conductor import Conductor, ContenderFailed, Measure, Question
from benchmarks.results.document import Metric, Results


class Run:
    """Questions that note who was asked, and a clock that they advance."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now_s = 0.0
        self.saved = 0
        self.results = Results({}, {}, "")

    def question(
        self, name: str, *contenders: str, lasts_s: float = 1.0, warm_up: bool = False, rounds: int | None = None
    ) -> Question:
        def measure(contender: str) -> Measure:
            def ask() -> Mapping[str, float]:
                self.asked.append(f"{name} {contender}")
                self.now_s += lasts_s
                return {f"{name}.rate": float(len(self.asked))}

            return ask

        measures = {contender: measure(contender) for contender in contenders}
        return Question(name, "group", [Metric(f"{name}.rate", name, "/s")], measures, contenders[0], rounds, warm_up)

    def conductor(self, rounds: int, deadline_s: float = float("inf")) -> Conductor:
        return Conductor(self.results, self._save, rounds, deadline_s, clock=lambda: self.now_s)

    def _save(self) -> None:
        self.saved += 1


def failing(question: Question, contender: str) -> Question:
    def ask() -> Mapping[str, float]:
        raise ContenderFailed("it does not start\nin two lines")

    return Question(
        question.id, "group", question.metrics, {**question.measures, contender: ask}, question.ours, warm_up=False
    )


def test_contenders_take_turns_and_rounds_span_all_questions() -> None:
    run = Run()
    assert run.conductor(2).conduct([run.question("a", "x", "y"), run.question("b", "x")])
    assert run.asked == ["a x", "a y", "b x"] * 2
    row = run.results.row("a.rate")
    assert row is not None
    assert row.rounds == [{"x": 1.0, "y": 2.0}, {"x": 4.0, "y": 5.0}]
    assert run.saved == 4


def test_a_warm_up_is_asked_once_and_not_counted() -> None:
    run = Run()
    run.conductor(2).conduct([run.question("a", "x", warm_up=True)])
    row = run.results.row("a.rate")
    assert row is not None
    assert row.rounds == [{"x": 2.0}, {"x": 3.0}]


def test_a_question_that_makes_sense_once_is_asked_once() -> None:
    run = Run()
    assert run.conductor(3).conduct([run.question("a", "x", rounds=1), run.question("b", "x")])
    assert run.asked == ["a x", "b x", "b x", "b x"]


def test_what_the_results_have_already_is_not_measured_again() -> None:
    run = Run()
    questions = [run.question("a", "x"), run.question("b", "x")]
    run.conductor(1).conduct(questions)
    run.asked.clear()
    run.conductor(2).conduct(questions)
    assert run.asked == ["a x", "b x"]


def test_a_contender_that_fails_is_left_out_of_that_question_and_the_reason_is_kept() -> None:
    run = Run()
    questions = [failing(run.question("a", "x", "y"), "y"), run.question("b", "x", "y")]
    run.conductor(2).conduct(questions)
    row = run.results.row("a.rate")
    assert row is not None
    assert row.contenders == ["x"]
    assert [(each.question, each.contender, each.reason) for each in run.results.failures] == [
        ("a", "y", "it does not start")
    ]
    assert run.asked.count("b y") == 2


def test_a_contender_that_answers_in_a_later_run_is_no_failure_any_more() -> None:
    run = Run()
    run.conductor(1).conduct([failing(run.question("a", "x", "y"), "y")])
    run.conductor(2).conduct([run.question("a", "x", "y")])
    assert run.results.failures == []


def test_a_question_that_would_not_end_in_time_is_not_begun_and_a_shorter_one_is() -> None:
    run = Run()
    questions = [run.question("long", "x", lasts_s=5.0), run.question("short", "x", lasts_s=1.0)]
    assert not run.conductor(2, deadline_s=8.0).conduct(questions)
    assert run.asked == ["long x", "short x", "short x"]


def test_nobody_is_asked_after_the_deadline() -> None:
    run = Run()
    assert not run.conductor(1, deadline_s=2.0).conduct([run.question("a", "x", "y", "z", lasts_s=1.5)])
    assert run.asked == ["a x", "a y"]
    row = run.results.row("a.rate")
    assert row is not None
    assert row.contenders == ["x", "y"]
