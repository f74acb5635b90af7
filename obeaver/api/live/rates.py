"""Tokens a second, out of counters that only go up. Pure: the time is a parameter."""

from collections import deque
from typing import Final, NamedTuple

from obeaver.engine.decoding.stats import EngineTotals

WINDOW_S: Final = 1.0
"""A rate is that of the last second or a little more: shorter ones jump with each step."""

RESOLUTION_S: Final = 0.1
"""Readings that follow closer than this are not kept: however often somebody asks, some ten of them are."""

FORGET_AFTER_S: Final = 10.0
"""Who asks less often than this gets no rate: an average over the pause would say nothing of now."""


class Rates(NamedTuple):
    """Tokens a second; None while nothing was counted before.

    Attributes:
        prefill: Prompt tokens computed, without those that were cached.
        decode: Tokens generated.
    """

    prefill: float | None
    decode: float | None


class _Reading(NamedTuple):
    at_s: float
    computed: int
    generated: int


class RateMeter:
    """The counters of one engine as they were read lately."""

    def __init__(self) -> None:
        self._readings: deque[_Reading] = deque()

    def read(self, totals: EngineTotals, now_s: float) -> Rates:
        """Take the counters in, and tell how fast they move."""
        reading = _Reading(now_s, totals.prompt_tokens - totals.cached_tokens, totals.generated_tokens)
        self._drop_old(now_s)
        base = self._readings[0] if self._readings else None
        if not self._readings or now_s - self._readings[-1].at_s >= RESOLUTION_S:
            self._readings.append(reading)
        if base is None or base.at_s >= now_s:
            return Rates(None, None)
        elapsed_s = now_s - base.at_s
        return Rates((reading.computed - base.computed) / elapsed_s, (reading.generated - base.generated) / elapsed_s)

    def _drop_old(self, now_s: float) -> None:
        """Keep the youngest reading that is a window old, and those after it."""
        while len(self._readings) > 1 and now_s - self._readings[1].at_s >= WINDOW_S:
            self._readings.popleft()
        if self._readings and now_s - self._readings[0].at_s > FORGET_AFTER_S:
            self._readings.popleft()
