"""How an error looks to a client. Families of paths may have shapes of their own: each route names the one it has."""

from obeaver.errors import ApiError
from obeaver.web import sse
from obeaver.web.response import Response, error_response
from obeaver.web.types import Scope


class ErrorShape:
    """The server's own shape, which is OpenAI's: `{"error": {message, type, param, code}}`.

    A dialect with another one derives from it. What it makes of an error holds for all that can go wrong on its paths:
    also for a method that they do not answer, a body that is too long, and a missing key.
    """

    def response(self, error: ApiError, _scope: Scope) -> Response:
        """The answer, where none has begun."""
        return error_response(error)

    def last_event(self, error: ApiError) -> bytes:
        """What ends a stream that has begun; empty where that was said already."""
        return sse.event(error.body())


OWN_SHAPE = ErrorShape()


def own_shape(_scope: Scope) -> ErrorShape:
    """The server's own shape, whoever sent the request."""
    return OWN_SHAPE
