"""Errors: an object with one text, and in an SDK `ResponseError` with the status."""

from conformance.checks.sdk_errors import message_violations
from conformance.turns import Turn


def violations(turn: Turn) -> list[str]:
    """What is wrong with an error."""
    raised = turn.seen.get("raised")
    found = [] if raised in {None, "ResponseError"} else [f"the SDK raised {raised} for the status {turn.status}"]
    if not isinstance(turn.value, dict) or not isinstance(turn.value.get("error"), str):
        return [*found, f"the body is no object with a text `error`: {str(turn.value)[:120]}"]
    return found + message_violations(turn.value["error"])
