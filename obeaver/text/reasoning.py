"""Reasoning: the text between a model's think markers."""

from typing import NamedTuple


class ThinkMarkers(NamedTuple):
    """The strings around a model's reasoning, such as `<think>` and `</think>`."""

    open: str
    close: str


class ReasoningText:
    """Reasoning without the blank edges that models put inside the markers; an empty line between two blocks."""

    def __init__(self) -> None:
        self._blank = ""
        self._begun = False
        self._between = ""

    def open_block(self) -> None:
        """A think marker was opened."""
        self._between = "\n\n" if self._begun or self._between else ""
        self._begun = False
        self._blank = ""

    def feed(self, text: str) -> str:
        """What can be sent: white space waits until text follows it."""
        body = text.rstrip()
        if not body:
            self._blank += text
            return ""
        ready = self._blank + body if self._begun else self._between + (self._blank + body).lstrip()
        self._blank = text[len(body) :]
        self._begun = True
        return ready
