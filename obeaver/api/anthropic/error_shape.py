"""Errors as Anthropic's clients expect them: `{"type": "error", "error": {type, message}, "request_id"}`."""

from collections.abc import Mapping
from typing import Final

from obeaver.errors import ApiError, ContextLengthExceeded
from obeaver.web import sse
from obeaver.web.error_shape import ErrorShape
from obeaver.web.request import REQUEST_ID_KEY
from obeaver.web.response import JSONResponse, Response
from obeaver.web.types import Scope

TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Anthropic's types of errors, by status; other requests at fault are an `invalid_request_error`."""


class AnthropicErrors(ErrorShape):
    """The shape of errors on the paths of the Messages dialect. The HTTP statuses are the server's own."""

    def response(self, error: ApiError, scope: Scope) -> Response:
        """The answer, where none has begun."""
        request_id = scope.get(REQUEST_ID_KEY)
        body = _body(error) | {"request_id": request_id}
        headers = error.headers | ({"request-id": request_id} if request_id else {})
        return JSONResponse(body, status=error.status, headers=headers)

    def last_event(self, error: ApiError) -> bytes:
        """What ends a stream that has begun."""
        return sse.event(_body(error), "error")


def _body(error: ApiError) -> dict[str, object]:
    kind = TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    # Clients that shorten their history look for these words.
    message = f"prompt is too long: {error.message}" if isinstance(error, ContextLengthExceeded) else error.message
    return {"type": "error", "error": {"type": kind, "message": message}}
