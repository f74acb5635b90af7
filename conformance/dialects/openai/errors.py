"""Errors: OpenAI's object, and in an SDK the exception class of the status."""

from conformance import sdk_schemas
from conformance.answers import Turn

RAISED = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
"""By status, in every SDK; from 500 on it is `InternalServerError`."""

BASES = {"APIStatusError", "APIError"}
"""What Python and Node raise for every other status."""


def violations(turn: Turn) -> list[str]:
    """What is wrong with an error."""
    found = []
    raised = turn.seen.get("raised")
    wanted = {"InternalServerError"} if turn.status >= 500 else BASES
    if turn.status in RAISED:
        wanted = {RAISED[turn.status]}
    if raised is not None and raised not in wanted:
        found.append(f"the SDK raised {raised} for the status {turn.status}")
    if not isinstance(turn.value, dict) or not isinstance(turn.value.get("error"), dict):
        return [*found, f"the body has no error object: {str(turn.value)[:120]}"]
    error = turn.value["error"]
    found += sdk_schemas.violations("error", error)
    found += [
        f"error.{name} is missing; null says that there is none" for name in ("param", "code") if name not in error
    ]
    message = error.get("message")
    if isinstance(message, str) and (not message.strip() or "Traceback (most recent call last)" in message):
        found.append(f"error.message does not help: {message[:80]!r}")
    return found
