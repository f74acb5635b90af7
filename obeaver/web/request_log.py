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

_TOKENS_KEY: Final = "obeaver.tokens"


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


class TokenCount:
    """Where a handler says how the tokens of its answer can be counted, once the answer is over."""

    def __init__(self) -> None:
        self._read: Callable[[], Tokens] | None = None

    def count_with(self, read: Callable[[], Tokens]) -> None:
        """Count like this."""
        self._read = read

    def read(self) -> Tokens | None:
        """The count; None where nobody counts."""
        return None if self._read is None else self._read()


def with_token_count(scope: Scope) -> tuple[Scope, TokenCount]:
    """A scope that has a place for a count, and that place."""
    count = TokenCount()
    return {**scope, _TOKENS_KEY: count}, count


def count_tokens(scope: Scope, read: Callable[[], Tokens]) -> None:
    """Let whoever keeps a log read the tokens of this request's answer; nothing happens where nobody does."""
    count = scope.get(_TOKENS_KEY)
    if isinstance(count, TokenCount):
        count.count_with(read)
