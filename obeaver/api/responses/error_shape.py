"""Errors of the Responses dialect: OpenAI's own, but a stream that has begun says them in an event of its own."""

from obeaver.errors import ApiError, InternalError
from obeaver.web.error_shape import ErrorShape


class ResponsesErrors(ErrorShape):
    """The server's own shape, where no stream has begun."""

    def last_event(self, error: ApiError) -> bytes:
        """Nothing, since `response.failed` has told it; a fault of the server's own code it could not tell."""
        return super().last_event(error) if type(error) is InternalError else b""
