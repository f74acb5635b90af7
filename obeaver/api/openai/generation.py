"""Rules that OpenAI's requests for text share, beside their schema."""

from typing import Any

from obeaver.errors import BadRequest


def check_generation(request: dict[str, Any], limit: int) -> None:
    """Check what binds one parameter to another.

    Args:
        request: Valid by its schema.
        limit: The most tokens that the client wants.

    Raises:
        BadRequest: Names the parameter that needs the other.
    """
    if includes_usage(request) and not request["stream"]:
        raise BadRequest("`stream_options` needs `stream` to be true.", param="stream_options", code="invalid_value")
    if request["min_tokens"] > limit:
        raise BadRequest("`min_tokens` must not be above `max_tokens`.", param="min_tokens", code="invalid_value")


def includes_usage(request: dict[str, Any]) -> bool:
    """Whether a stream ends with the usage."""
    return bool((request["stream_options"] or {}).get("include_usage"))
