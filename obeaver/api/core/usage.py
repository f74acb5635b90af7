"""What an answer has cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `cached` of the prompt's and `reasoning` of the completion's are parts of those."""

    prompt: int
    completion: int
    cached: int
    reasoning: int
