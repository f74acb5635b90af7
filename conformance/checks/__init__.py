"""What must be true of every answer, given what was asked. Each check returns violations as sentences."""

from conformance.answers import Turn
from conformance.checks import chat, chat_stream, completions, embeddings, errors, models, transport
from conformance.checks.facts import ServerFacts

__all__ = ["ServerFacts", "has_status", "turn_violations"]


def has_status(turn: Turn, expected: int | str) -> bool:
    """Whether an answer has the status that a case expects; `ok` is any from 200 to 299."""
    return 200 <= turn.status <= 299 if expected == "ok" else turn.status == expected


def turn_violations(turn: Turn, expected_status: int | str, facts: ServerFacts) -> list[str]:
    """Everything that is wrong with one answer."""
    if not has_status(turn, expected_status):
        return [f"the status is {turn.status} instead of {expected_status}: {str(turn.value)[:200]}", *turn.problems]
    found = [*turn.problems, *transport.violations(turn)]
    if turn.status >= 400:
        return found + errors.violations(turn)
    if turn.endpoint == "/chat/completions" and turn.request:
        if turn.chunks is not None:
            return found + chat_stream.violations(turn, facts)
        return found + chat.violations(turn, facts)
    if turn.endpoint == "/completions":
        return found + completions.violations(turn, facts)
    if turn.endpoint == "/embeddings":
        return found + embeddings.violations(turn, facts)
    if turn.endpoint.startswith("/models"):
        return found + models.violations(turn)
    return found
