"""The exceptions that an SDK raises, by the status of an error. Those of OpenAI and Anthropic have the same names."""

from conformance.turns import Turn

RAISED = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
"""By status, in every SDK; from 500 on it is `InternalServerError`, or one derived from it."""

BASES = {"APIStatusError", "APIError"}
"""What Python and Node raise for every other status."""

SERVER_ERRORS = {"InternalServerError", "ServiceUnavailableError", "OverloadedError", "GatewayTimeoutError"}


def raised_violations(turn: Turn) -> list[str]:
    """Whether an SDK raised the class of the status."""
    raised = turn.seen.get("raised")
    wanted = SERVER_ERRORS if turn.status >= 500 else BASES
    if turn.status in RAISED:
        wanted = {RAISED[turn.status]}
    if raised is None or raised in wanted:
        return []
    return [f"the SDK raised {raised} for the status {turn.status}"]


def message_violations(message: object) -> list[str]:
    """Whether an error says something, and nothing that is for the log."""
    if isinstance(message, str) and message.strip() and "Traceback (most recent call last)" not in message:
        return []
    return [f"the message of the error does not help: {str(message)[:80]!r}"]
