"""Errors: Anthropic's object, and in an SDK the exception class of the status."""

from conformance import sdk_schemas
from conformance.checks.sdk_errors import message_violations, raised_violations
from conformance.turns import Turn

TYPES = {
    400: {"invalid_request_error"},
    401: {"authentication_error"},
    403: {"permission_error"},
    404: {"not_found_error"},
    413: {"request_too_large"},
    429: {"rate_limit_error"},
    500: {"api_error"},
    503: {"overloaded_error", "api_error"},
    529: {"overloaded_error"},
}
"""By status, as Anthropic's documentation of errors has them."""

NOT_IN_SDK = {"request_too_large"}


def violations(turn: Turn) -> list[str]:
    """What is wrong with an error."""
    found = raised_violations(turn)
    if not isinstance(turn.value, dict) or not isinstance(turn.value.get("error"), dict):
        return [*found, f"the body has no error object: {str(turn.value)[:120]}"]
    error = turn.value["error"]
    kind = error.get("type")
    if turn.status in TYPES and kind not in TYPES[turn.status]:
        found.append(f"error.type is {kind!r} for the status {turn.status}")
    if kind not in NOT_IN_SDK:
        found += sdk_schemas.violations("message error", turn.value)
    if turn.value.get("type") != "error":
        found.append(f"type is {turn.value.get('type')!r} instead of 'error'")
    # By this id a person who runs a server finds what happened.
    if turn.response is not None and turn.value.get("request_id") != turn.response.header("request-id"):
        found.append("request_id is not the one of the header request-id")
    return found + message_violations(error.get("message"))
