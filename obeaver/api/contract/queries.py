"""Parameters of the query that several routes share."""

from collections.abc import Sequence

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


def one_of(request: Request, name: str, words: Sequence[str]) -> str:
    """Which of some words is given; the first of them if none is.

    Raises:
        BadRequest: It is another word.
    """
    word = request.query.get(name, "")
    if word and word not in words:
        raise BadRequest(f"`{name}` must be one of {', '.join(words)}.", param=name, code="unknown_value")
    return word or words[0]


def whole_number(request: Request, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A number from `lowest` to `highest`.

    Raises:
        BadRequest: It is none.
    """
    text = request.query.get(name, "")
    if not text:
        return default
    # Ten digits are beyond every limit, and int() is quick with them.
    number = int(text[:10]) if text.isascii() and text.isdecimal() else lowest - 1
    if not lowest <= number <= highest:
        message = f"`{name}` must be a whole number from {lowest} to {highest}."
        raise BadRequest(message, param=name, code="invalid_value")
    return number
