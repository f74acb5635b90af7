"""Who is told what an encoder does, and how long it takes."""

from enum import Enum
from typing import Final, NamedTuple, Protocol


class Outcome(Enum):
    """How a request ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    ABORTED = "aborted"


class BatchWork(NamedTuple):
    """What a batch held, and how long its run took."""

    num_texts: int
    num_tokens: int
    seconds: float


class EncoderMeter(Protocol):
    """Called on the event loop's thread."""

    def on_batch(self, work: BatchWork) -> None:
        """A batch was computed."""

    def on_failed(self, num_texts: int) -> None:
        """A batch of so many texts failed."""

    def on_end(self, outcome: Outcome, seconds: float) -> None:
        """A request is over, so long after it was handed over. Each is told of once."""


class Unmeasured:
    """An `EncoderMeter` for who measures nothing."""

    def on_batch(self, work: BatchWork) -> None:
        """Nothing."""

    def on_failed(self, num_texts: int) -> None:
        """Nothing."""

    def on_end(self, outcome: Outcome, seconds: float) -> None:
        """Nothing."""


UNMEASURED: Final = Unmeasured()
