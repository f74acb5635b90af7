"""How long work tells a person where it stands: a protocol, a terminal's bar, plain lines, and silence.

Work that takes a while gets a `Progress` and opens one `stage` per thing it does. It never prints by itself, and it
never asks whether anybody looks.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

PLAIN_INTERVAL_S = 5.0
_EXACT_BELOW = 100_000
_UNIT_STEPS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


class Stage(Protocol):
    """One piece of work under way."""

    def advance(self, n: int) -> None:
        """Say that `n` more units are done; `n` may be 0 and is never negative."""
        ...


class Progress(Protocol):
    """Where long work reports to."""

    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> AbstractContextManager[Stage]:
        """Open a stage that ends with the `with` block.

        Args:
            title: What is being done, as a person would say it: "download", "quantise".
            total: Units in all, or None when nobody knows.
            unit: `B` counts bytes (shown as MB and MB/s); anything else is a plain count.
            done: Units that were done before, which count for the total and not for the rate.
        """
        ...

    def note(self, text: str) -> None:
        """Say one sentence, on a line of its own."""
        ...


class SilentProgress:
    """Says nothing."""

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> Iterator[Stage]:  # noqa: ARG002
        """See `Progress.stage`."""
        yield _SilentStage()

    def note(self, text: str) -> None:
        """See `Progress.note`."""


class _SilentStage:
    def advance(self, n: int) -> None:
        """Nobody looks."""


class TerminalProgress:
    """A bar with rate and remaining time on a terminal; elsewhere a line at the start, every few seconds, at the end.

    Args:
        stream: Where to write; standard error if not given.
        clock: Seconds, monotonic.
    """

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._write_above_bar: Callable[[str], None] | None = None

    def stage(self, title: str, total: int | None, unit: str = "B", *, done: int = 0) -> AbstractContextManager[Stage]:
        """See `Progress.stage`."""
        if self._stream.isatty():
            return self._bar(title, total, unit, done)
        return self._lines(title, total, unit, done)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        (self._write_above_bar or self._say)(text)

    @contextmanager
    def _bar(self, title: str, total: int | None, unit: str, done: int) -> Iterator[Stage]:
        from tqdm import tqdm  # here, so that commands that show no bar do not pay for it

        with tqdm(
            total=total,
            initial=done,
            desc=title,
            unit=unit,
            unit_scale=_is_scaled(total or 0, unit),
            file=self._stream,
            dynamic_ncols=True,
        ) as bar:
            self._write_above_bar = lambda text: tqdm.write(text, file=self._stream)
            try:
                yield _BarStage(bar.update)
            finally:
                self._write_above_bar = None

    @contextmanager
    def _lines(self, title: str, total: int | None, unit: str, done: int) -> Iterator[Stage]:
        lines = _LineStage(title, total, unit, done, self._say, self._clock)
        self._say(f"{title} …")
        yield lines
        self._say(f"{title}: done, {lines.summary()}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class _BarStage:
    def __init__(self, update: Callable[[float], object]) -> None:
        self._update = update

    def advance(self, n: int) -> None:
        self._update(n)


class _LineStage:
    def __init__(
        self,
        title: str,
        total: int | None,
        unit: str,
        done: int,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._say, self._clock = say, clock
        self._done_before = self._done = done
        self._started_s = self._spoke_s = clock()

    def advance(self, n: int) -> None:
        self._done += n
        now_s = self._clock()
        if now_s - self._spoke_s >= PLAIN_INTERVAL_S:
            self._spoke_s = now_s
            self._say(f"{self._title}: {self._position()}")

    def summary(self) -> str:
        return f"{amount(self._done - self._done_before, self._unit)} in {self._clock() - self._started_s:.1f} s"

    def _position(self) -> str:
        if not self._total:
            return amount(self._done, self._unit)
        of = amount(self._total, self._unit)
        return f"{amount(self._done, self._unit)} of {of}, {100 * self._done // self._total} %{self._pace()}"

    def _pace(self) -> str:
        """Rate and remaining time, where there is a rate."""
        elapsed_s = self._clock() - self._started_s
        per_s = (self._done - self._done_before) / elapsed_s if elapsed_s > 0 else 0.0
        if not self._total or per_s <= 0:
            return ""
        left_s = max(0, self._total - self._done) / per_s
        return f", {amount(round(per_s), self._unit)}/s, {left_s:.0f} s left"


def amount(n: int, unit: str = "B") -> str:
    """A number a person can read: `98.4 MB`, `512 B`, `30 layer`, `134.5 M weight`."""
    gap = "" if unit == "B" else " "
    for prefix, size in _UNIT_STEPS:
        if _is_scaled(n, unit) and n >= size:
            return f"{n / size:.1f} {prefix}{gap}{unit}"
    return f"{n} {unit}"


def _is_scaled(n: int, unit: str) -> bool:
    """Small counts of things are told exactly."""
    return unit == "B" or n >= _EXACT_BELOW
