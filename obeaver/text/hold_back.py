"""Finds strings in text that arrives in pieces, and lets through at once all that cannot be part of one.

The automaton is that of Aho and Corasick, "Efficient string matching" (1975): one step a character, however many
strings are sought. Its state is the longest end of the text so far that begins one of them: exactly what must wait.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Passed(NamedTuple):
    """What a piece of text set free.

    Attributes:
        text: Safe to let go: no part of it can belong to a pattern.
        found: The pattern that was completed, or None.
        rest: The text behind the found pattern, not looked at.
    """

    text: str
    found: str | None = None
    rest: str = ""


class Patterns:
    """An immutable automaton over some strings; empty strings are left out."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._edges: list[dict[str, int]] = [{}]
        self._fallback = [0]
        self._depths = [0]
        self._longest: list[str | None] = [None]
        for pattern in filter(None, patterns):
            self._add(pattern)
        self._link()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to find."""
        return not self._edges[0]

    def step(self, state: int, char: str) -> int:
        """The state after one more character; 0 is the first state."""
        while state and char not in self._edges[state]:
            state = self._fallback[state]
        return self._edges[state].get(char, 0)

    def depth(self, state: int) -> int:
        """How many of the last characters may belong to a pattern."""
        return self._depths[state]

    def complete(self, state: int) -> str | None:
        """The longest pattern that ends here."""
        return self._longest[state]

    def _add(self, pattern: str) -> None:
        state = 0
        for char in pattern:
            if char not in self._edges[state]:
                self._edges[state][char] = self._new_state(self._depths[state] + 1)
            state = self._edges[state][char]
        self._longest[state] = pattern

    def _new_state(self, depth: int) -> int:
        self._edges.append({})
        self._fallback.append(0)
        self._depths.append(depth)
        self._longest.append(None)
        return len(self._edges) - 1

    def _link(self) -> None:
        # Breadth first: a state's fallback is shallower than the state itself, so it is ready when it is needed.
        queue = deque(self._edges[0].values())
        while queue:
            state = queue.popleft()
            for char, child in self._edges[state].items():
                self._fallback[child] = self.step(self._fallback[state], char)
                self._longest[child] = self._longest[child] or self._longest[self._fallback[child]]
                queue.append(child)


class HoldBack:
    """Text in, text out, short of what may still become a pattern.

    The pattern that is complete first wins, among those the longest; so the outcome does not depend on where the text
    was cut into pieces.
    """

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._state = 0
        self._held = ""

    def feed(self, text: str) -> Passed:
        """Take the next piece of text. After a find, feed `rest` to whoever is to have it."""
        buffer = self._held + text
        for end, char in enumerate(text, start=len(self._held) + 1):
            self._state = self._patterns.step(self._state, char)
            found = self._patterns.complete(self._state)
            if found is not None:
                self.flush()
                return Passed(buffer[: end - len(found)], found, buffer[end:])
        safe = len(buffer) - self._patterns.depth(self._state)
        self._held = buffer[safe:]
        return Passed(buffer[:safe])

    def flush(self) -> str:
        """Give out what was held back, and begin anew."""
        held, self._held, self._state = self._held, "", 0
        return held
