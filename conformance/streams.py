"""A stream's values and what is wrong with its framing."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stream:
    """What the body of a stream holds.

    Attributes:
        values: The JSON values, in order, without what only marks the end.
        problems: What is wrong with the framing, as sentences.
    """

    values: tuple[Any, ...]
    problems: tuple[str, ...]
