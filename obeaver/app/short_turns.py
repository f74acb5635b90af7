"""Threads of Python take short turns: the event loop does not wait long for one that computes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TURN_S: Final = 0.00025
"""A twentieth of Python's own.

The loop gives the interpreter away whenever it waits for a socket, and gets it back when the turn of whoever took it is
over. Beside a thread that writes 168,000 log-probabilities and one that computes now and then, it was 10 ms late at its
median with Python's own turns, and 2.5 with turns of 1 ms. The engine too gives it away in each run and each larger
operation of numpy: beside a thread that words 8,000 of a prompt's log-probabilities, keeping that prompt and sampling
four rows took up to 29 and 48 ms with turns of 1 ms, and up to 12 and 5 with these. One stream, eight, and answers of
one token are as fast with either.
"""


@contextmanager
def short_turns() -> Iterator[None]:
    """Let turns be as short for the length of the block."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
