"""How to let answers end after a few words, whatever they are about."""

from typing import Final

EARLY_ENDS: Final = (" the", " is", " a", " in", " of", " to", " and", " I", " you", ".", "!", "?")
"""Stop strings for agents' tests: agents take an answer that the limit cuts for a failure, and what a small model says
at length depends on the ids of calls, which are drawn."""
