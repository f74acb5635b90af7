"""Parameters of the query that several routes share."""

from obeaver.errors import BadRequest
from obeaver.web import sse
from obeaver.web.request import Request

_STREAM = {"": None, "true": True, "1": True, "false": False, "0": False}


def wants_stream(request: Request) -> bool:
    """Whether events are asked for: by `stream`, else by what the client accepts.

    Raises:
        BadRequest: `stream` is neither true nor false.
    """
    word = request.query.get("stream", "").lower()
    if word not in _STREAM:
        raise BadRequest("`stream` must be true or false.", param="stream", code="invalid_value")
    asked = _STREAM[word]
    return sse.MEDIA_TYPE in request.headers.get("accept", "") if asked is None else asked
