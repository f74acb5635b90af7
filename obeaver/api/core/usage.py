"""What an answer has cost, in tokens and in time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `cached` of the prompt's and `reasoning` of the completion's are parts of those."""

    prompt: int
    completion: int
    cached: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Timings:
    """What an answer has taken so far, in nanoseconds.

    Attributes:
        prompt_ns: From the time it was submitted to its first token; 0 before that.
        predicted_ns: From the first token to the last one.
    """

    prompt_ns: int
    predicted_ns: int
