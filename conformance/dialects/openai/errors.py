"""Errors: OpenAI's object, and in an SDK the exception class of the status."""

from conformance import sdk_schemas
from conformance.checks.sdk_errors import message_violations, raised_violations
from conformance.turns import Turn


def violations(turn: Turn) -> list[str]:
    """What is wrong with an error."""
    found = raised_violations(turn)
    if not isinstance(turn.value, dict) or not isinstance(turn.value.get("error"), dict):
        return [*found, f"the body has no error object: {str(turn.value)[:120]}"]
    error = turn.value["error"]
    found += sdk_schemas.violations("error", error)
    found += [
        f"error.{name} is missing; null says that there is none" for name in ("param", "code") if name not in error
    ]
    return found + message_violations(error.get("message"))
