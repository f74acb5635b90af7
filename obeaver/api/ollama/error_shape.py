"""Errors as Ollama's clients expect them: `{"error": "message"}`, also as the last line of a stream."""

from obeaver.errors import ApiError
from obeaver.web import ndjson
from obeaver.web.error_shape import ErrorShape
from obeaver.web.response import JSONResponse, Response
from obeaver.web.types import Scope


class OllamaErrors(ErrorShape):
    """The shape of errors on the paths of Ollama's dialect."""

    def response(self, error: ApiError, _scope: Scope) -> Response:
        """The answer, where none has begun."""
        return JSONResponse({"error": error.message}, status=error.status, headers=error.headers)

    def last_event(self, error: ApiError) -> bytes:
        """What ends a stream that has begun."""
        return ndjson.line({"error": error.message})
