"""The latest requests, for people who watch: what was asked of which path, how it ended, how many tokens it took.

Never what was said: no body, no query, no header but the request's own id.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from obeaver.web.types import Scope

NUM_KEPT: Final = 200
"""Requests that are kept: some screens full, at about 300 bytes each."""

QUIET_PATHS: Final = ("/static/", "/health", "/metrics", "/api/engine", "/api/system/")
"""Asked every few seconds by whoever watches. They would push everything else out; only their failures are told."""

_NOTES_KEY: Final = "obeaver.notes"


class Tokens(NamedTuple):
    """What an answer has taken so far."""

    prompt: int
    answer: int


class LoggedRequest(NamedTuple):
    """One request that has been answered.

    Attributes:
        number: Counts up; no two have the same.
        id: As `x-request-id` tells it.
        method: In capitals.
        path: Without the query, percent-encoded.
        status: Of the answer; 499 where the client left before it.
        complete: Whether the answer went out to its end.
        started_at: Seconds since 1970.
        duration_s: From the request's head to the answer's last byte.
        tokens: What was computed for it; None where nothing was.
        route: Pattern of the route that it met; "" for none.
        error: Code of the error that the client was told; None for none.
    """

    number: int
    id: str
    method: str
    path: str
    status: int
    complete: bool
    started_at: float
    duration_s: float
    tokens: Tokens | None = None
    route: str = ""
    error: str | None = None

    @property
    def is_watching(self) -> bool:
        """Whether somebody only asked how things stand, and was told."""
        return self.path.startswith(QUIET_PATHS) and self.status < 400


class RequestLog:
    """A ring of them. Belongs to the event loop.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int = NUM_KEPT) -> None:
        self._kept: deque[LoggedRequest] = deque(maxlen=size)
        self._num_seen = 0

    @property
    def last_number(self) -> int:
        """Of the latest one; 0 before the first."""
        return self._num_seen

    def add(self, request: LoggedRequest) -> None:
        """Keep a request, unless it is one of those that only watch; its number is given here."""
        if request.is_watching:
            return
        self._num_seen += 1
        self._kept.append(request._replace(number=self._num_seen))

    def between(self, after: int, last: int) -> list[LoggedRequest]:
        """Those whose numbers are above the one and not above the other, as far as they are kept; the oldest first."""
        return [request for request in self._kept if after < request.number <= last] if after < last else []


class RequestNotes:
    """What those who answer a request tell those who log it.

    Attributes:
        route: The pattern of the route that answers; "" where there is none.
        error: Code of the error that the client was told, if any.
    """

    def __init__(self) -> None:
        self.route = ""
        self.error: str | None = None
        self._read: Callable[[], Tokens] | None = None

    def count_with(self, read: Callable[[], Tokens]) -> None:
        """Count the answer's tokens like this, once it is over."""
        self._read = read

    def tokens(self) -> Tokens | None:
        """The count; None where nobody counts."""
        return None if self._read is None else self._read()


def with_notes(scope: Scope) -> tuple[Scope, RequestNotes]:
    """A scope that has a place for notes, and that place."""
    notes = RequestNotes()
    return {**scope, _NOTES_KEY: notes}, notes


def count_tokens(scope: Scope, read: Callable[[], Tokens]) -> None:
    """Let whoever keeps a log read the tokens of this request's answer; nothing happens where nobody does."""
    if (notes := _notes(scope)) is not None:
        notes.count_with(read)


def note_route(scope: Scope, pattern: str) -> None:
    """Say which route a request has met; nothing happens where nobody keeps a log."""
    if (notes := _notes(scope)) is not None:
        notes.route = pattern


def note_error(scope: Scope, code: str) -> None:
    """Say which error a client was told; nothing happens where nobody keeps a log."""
    if (notes := _notes(scope)) is not None:
        notes.error = code


def _notes(scope: Scope) -> RequestNotes | None:
    notes = scope.get(_NOTES_KEY)
    return notes if isinstance(notes, RequestNotes) else None
