"""From the turns of a case to what is wrong with them."""

from collections.abc import Mapping, Sequence

from conformance.cases import Case, Step, filled
from conformance.checks import expectations, relations, transport
from conformance.checks.facts import ServerFacts
from conformance.dialects.dialect import Dialect
from conformance.turns import Turn

Turns = Mapping[int, Sequence[Turn]]
"""Step number to its turns; a loop of tool calls has several."""

TURNED_AWAY = 429


def violations(case: Case, turns: Turns, facts: ServerFacts) -> list[str]:
    """Everything that is wrong with the answers to a case, each with its step where there are several."""
    found: list[str] = []
    for number, step in enumerate(case.steps):
        wrong = _step_violations(case.dialect, step, turns.get(number, ()), facts)
        if _is_answered(case, turns, number):
            wrong += expectations.violations(turns[number][-1], filled(case.expect.get(number, {}), facts.model))
        found += [f"step {number + 1}: {text}" if len(case.steps) > 1 else text for text in wrong]
    if all(_is_answered(case, turns, number) for number in range(len(case.steps))):
        last = [turns[number][-1] for number in range(len(case.steps))]
        found += [
            f"{name}: {text}" for name in case.relations for text in relations.violations(name, case.dialect, last)
        ]
    return found


def has_status(turn: Turn, expected: int | str) -> bool:
    """Whether an answer has the status that a case expects; `ok` is any from 200 to 299."""
    return 200 <= turn.status <= 299 if expected == "ok" else turn.status == expected


def turn_violations(dialect: Dialect, turn: Turn, expected_status: int | str, facts: ServerFacts) -> list[str]:
    """Everything that is wrong with one answer."""
    if not has_status(turn, expected_status):
        return [f"the status is {turn.status} instead of {expected_status}: {str(turn.value)[:200]}", *turn.problems]
    found = [*turn.problems, *transport.violations(turn)]
    return found + (dialect.error_violations(turn) if turn.status >= 400 else dialect.violations(turn, facts))


def _is_answered(case: Case, turns: Turns, number: int) -> bool:
    # What else is wrong with an answer need not keep its text from being compared.
    return bool(turns.get(number)) and has_status(turns[number][-1], case.steps[number].status)


def _step_violations(dialect: Dialect, step: Step, turns: Sequence[Turn], facts: ServerFacts) -> list[str]:
    if not turns:
        return ["no answer was seen"]
    found = []
    for turn in turns:
        may_be_turned_away = step.call == "crowd" and not step.extra.get("max_retries")
        if turn.status == TURNED_AWAY and may_be_turned_away:
            found += turn_violations(dialect, turn, TURNED_AWAY, facts)
            if "retry-after" not in turn.seen.get("headers", {}):
                found.append("429 does not say when to come back: Retry-After is missing")
        else:
            found += turn_violations(dialect, turn, step.status, facts)
    return found
