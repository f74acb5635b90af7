"""From the turns of a case to what is wrong with them."""

from collections.abc import Mapping, Sequence

from conformance.answers import Turn
from conformance.cases import Case, Step, filled
from conformance.checks import ServerFacts, expectations, has_status, relations, turn_violations

Turns = Mapping[int, Sequence[Turn]]
"""Step number to its turns; a loop of tool calls has several."""

TURNED_AWAY = 429


def violations(case: Case, turns: Turns, facts: ServerFacts) -> list[str]:
    """Everything that is wrong with the answers to a case, each with its step where there are several."""
    found: list[str] = []
    for number, step in enumerate(case.steps):
        wrong = _step_violations(step, turns.get(number, ()), facts)
        if _is_answered(case, turns, number):
            wrong += expectations.violations(turns[number][-1], filled(case.expect.get(number, {}), facts.model))
        found += [f"step {number + 1}: {text}" if len(case.steps) > 1 else text for text in wrong]
    if all(_is_answered(case, turns, number) for number in range(len(case.steps))):
        last = [turns[number][-1] for number in range(len(case.steps))]
        found += [f"{name}: {text}" for name in case.relations for text in relations.violations(name, last)]
    return found


def _is_answered(case: Case, turns: Turns, number: int) -> bool:
    # What else is wrong with an answer need not keep its text from being compared.
    return bool(turns.get(number)) and has_status(turns[number][-1], case.steps[number].status)


def _step_violations(step: Step, turns: Sequence[Turn], facts: ServerFacts) -> list[str]:
    if not turns:
        return ["no answer was seen"]
    found = []
    for turn in turns:
        may_be_turned_away = step.call == "crowd" and not step.extra.get("max_retries")
        if turn.status == TURNED_AWAY and may_be_turned_away:
            found += turn_violations(turn, TURNED_AWAY, facts)
            if "retry-after" not in turn.seen.get("headers", {}):
                found.append("429 does not say when to come back: Retry-After is missing")
        else:
            found += turn_violations(turn, step.status, facts)
    return found
