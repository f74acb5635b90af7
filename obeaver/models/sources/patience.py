"""How often a server that fails is asked again, and how long to wait in between."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from obeaver.errors import FetchError
from obeaver.models.progress import Progress

RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""

# `"api";r=0;t=55`: nothing is left, and there is more in 55 s (draft-ietf-httpapi-ratelimit-headers-09).
_RATE_LIMIT: Final = re.compile(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d+)")

_Answer = TypeVar("_Answer")


class Failed(Exception):
    """This try failed, the next one may not. The text is the reason.

    Args:
        reason: For a person.
        asked_s: How long the server asks to be left alone.
    """

    def __init__(self, reason: str, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.asked_s = asked_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How much a server may fail.

    Attributes:
        tries: Failures in a row, with no byte in between, after which it is given up.
        first_wait_s: After the first failure; each further one doubles it.
        longest_wait_s: Where that ends.
        longest_asked_s: A server that asks for more than this is given up at once.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_s: float = 300.0

    def wait_s(self, num_failures: int, asked_s: float | None) -> float | None:
        """Seconds to wait before the next try, None to give up.

        Args:
            num_failures: In a row, the last one included.
            asked_s: What the server asked for.
        """
        if num_failures >= self.tries:
            return None
        if asked_s is not None:
            return asked_s if asked_s <= self.longest_asked_s else None
        return float(min(self.first_wait_s * 2 ** (num_failures - 1), self.longest_wait_s))


USUAL_PATIENCE: Final = Patience()
"""About a quarter of a minute, where a server does not ask for more."""


def asked_wait_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long a server asks to be left alone, if it says so: `Retry-After`, or the hub's `RateLimit`.

    Args:
        headers: Of the answer; looked up in lower case.
        now: With a time zone.
    """
    if (found := _RATE_LIMIT.search(headers.get("ratelimit", ""))) is not None:
        return float(found[1])
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


def insist(ask: Callable[[], _Answer], patience: Patience, *, what: str, progress: Progress) -> _Answer:
    """Ask until there is an answer.

    Args:
        ask: Raises `Failed` where another try may help.
        patience: How long.
        what: What is asked for, for messages.
        progress: Told of each failure.

    Raises:
        FetchError: There is none.
    """
    num_failures = 0
    while True:
        try:
            return ask()
        except Failed as failure:
            num_failures += 1
            wait_s = patience.wait_s(num_failures, failure.asked_s)
            if wait_s is None:
                raise FetchError(f"{what} could not be fetched: {failure}") from None
            progress.note(f"{what}: {failure}; trying again in {wait_s:g} s")
            time.sleep(wait_s)
