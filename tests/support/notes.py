"""A progress that remembers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from obeaver.models.progress import SilentProgress, Stage


@dataclass
class _Counter:
    n: int = 0

    def advance(self, n: int) -> None:
        self.n += n


class Notes(SilentProgress):
    """Keeps what is noted, and of each stage: title, total, what was done before, what was done in it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.stages: list[tuple[str, int | None, int, int]] = []

    def note(self, text: str) -> None:
        self.texts.append(text)

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> Iterator[Stage]:
        counter = _Counter()
        yield counter
        self.stages.append((title, total, done, counter.n))
