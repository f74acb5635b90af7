"""An archive in a folder of its own, with a clock that the test moves."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from obeaver.archive.stored_responses import Limits, StoredResponses

GIGABYTE = 1_000_000_000


@dataclass
class Clock:
    """Seconds since 1970, as the test wants."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses" / "responses.sqlite3"


Open = Callable[..., StoredResponses]


@pytest.fixture
def opened(path: Path, clock: Clock) -> Iterator[Open]:
    """Opens the file; everything is closed at the end."""
    everything: list[StoredResponses] = []

    def open_it(max_bytes: int = GIGABYTE, max_age_s: float = 0) -> StoredResponses:
        everything.append(StoredResponses(path, Limits(max_bytes, max_age_s), clock=clock))
        return everything[-1]

    yield open_it
    for responses in everything:
        with closing(responses):
            pass
