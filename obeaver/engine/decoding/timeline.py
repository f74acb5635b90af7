"""When what happened to a sequence, and who is told how long things took."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from obeaver.engine.decoding.sequence import FinishReason
from obeaver.engine.decoding.stats import EngineTotals


class StepSpan(NamedTuple):
    """When a step began and ended, in seconds of a monotonic clock."""

    started_s: float
    ended_s: float


@dataclass(slots=True)
class Timeline:
    """One sequence, in seconds of the same clock.

    Attributes:
        num_prompt: Tokens of its prompt.
        max_tokens: Tokens of answer that it may have.
        opened_s: When it was handed to the engine.
        begun_s: When its first step began; None while it waits.
        first_token_s: When its first token was there.
        last_token_s: When its latest token was there.
        num_output: Tokens of its answer.
        is_enough: Whoever reads it has all that is wanted, so that ending it is no loss.
    """

    num_prompt: int
    max_tokens: int
    opened_s: float
    begun_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    num_output: int = 0
    is_enough: bool = False

    def begin(self, now_s: float) -> None:
        """A step computes it; the first one counts."""
        if self.begun_s is None:
            self.begun_s = now_s

    def take_token(self, now_s: float) -> float | None:
        """A token is there; seconds since the one before it, None for the first."""
        gap_s = None if self.last_token_s is None else now_s - self.last_token_s
        if self.first_token_s is None:
            self.first_token_s = now_s
        self.last_token_s = now_s
        self.num_output += 1
        return gap_s


class Meter(Protocol):
    """Told of everything that is counted and timed. Called on the event loop's thread."""

    def on_step(self, seconds: float, work: EngineTotals) -> None:
        """A step was made; `work` is what it added to the totals."""

    def on_first_token(self, seconds: float) -> None:
        """A sequence has its first token, so long after it was handed over."""

    def on_next_token(self, seconds: float) -> None:
        """A sequence has a further token, so long after the one before."""

    def on_end(self, timeline: Timeline, reason: FinishReason, now_s: float) -> None:
        """A sequence is over. Each that was handed over is told of once."""


class Unmeasured:
    """A `Meter` for who measures nothing."""

    def on_step(self, seconds: float, work: EngineTotals) -> None:
        """Nothing."""

    def on_first_token(self, seconds: float) -> None:
        """Nothing."""

    def on_next_token(self, seconds: float) -> None:
        """Nothing."""

    def on_end(self, timeline: Timeline, reason: FinishReason, now_s: float) -> None:
        """Nothing."""


UNMEASURED: Final = Unmeasured()


class Stopwatch:
    """Times sequences, and tells a meter.

    Args:
        meter: Told how long things took.
        clock: Seconds, monotonic.
    """

    def __init__(self, meter: Meter, clock: Callable[[], float]) -> None:
        self._meter = meter
        self._clock = clock

    def open(self, num_prompt: int, max_tokens: int) -> Timeline:
        """A sequence is handed over."""
        return Timeline(num_prompt, max_tokens, self._clock())

    def step(self, span: StepSpan, work: EngineTotals) -> "StepTimes":
        """A step was made, and its outcome is handed out now."""
        self._meter.on_step(span.ended_s - span.started_s, work)
        return StepTimes(self._meter, span.started_s, self._clock())

    def end(self, timeline: Timeline, reason: FinishReason) -> None:
        """A sequence is over."""
        whole = reason is FinishReason.ABORTED and timeline.is_enough
        self._meter.on_end(timeline, FinishReason.STOP if whole else reason, self._clock())


class StepTimes(NamedTuple):
    """What is timed of one step."""

    meter: Meter
    started_s: float
    now_s: float

    def begin(self, timeline: Timeline) -> None:
        """A sequence was computed."""
        timeline.begin(self.started_s)

    def token(self, timeline: Timeline) -> None:
        """A sequence got a token."""
        timeline.begin(self.started_s)
        gap_s = timeline.take_token(self.now_s)
        if gap_s is None:
            self.meter.on_first_token(self.now_s - timeline.opened_s)
        else:
            self.meter.on_next_token(gap_s)
