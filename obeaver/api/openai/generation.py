"""What OpenAI's requests for text and the answers to them share, beside their schemas."""

from typing import Any

from obeaver.api.contract.wire import Object
from obeaver.api.core.generation import Generation
from obeaver.api.openai.objects import timings_object
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


def timings_fields(generation: Generation) -> Object:
    """What an answer has taken so far, beside all else that it tells."""
    return {"timings": timings_object(generation.usage, generation.timings)}


def includes_usage(request: dict[str, Any]) -> bool:
    """Whether a stream ends with the usage."""
    return bool((request["stream_options"] or {}).get("include_usage"))
