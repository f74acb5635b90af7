"""Stop strings: text up to the first of them, and nothing of it."""

from collections.abc import Iterable

from obeaver.text.hold_back import HoldBack, Patterns


class StopStrings:
    """Ends text where a stop string begins.

    The stop string that is complete first wins: generation would have ended there. Of several that are complete at the
    same character, the one that began first. Empty stop strings are ignored.
    """

    def __init__(self, stop: Iterable[str]) -> None:
        self._stop = frozenset(filter(None, stop))
        self._hold_back = HoldBack(Patterns(self._stop))
        self.found: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string has ended the text."""
        return self.found is not None

    def feed(self, text: str) -> str:
        """The text that is safe to send; after a stop string, always nothing."""
        if self.stopped:
            return ""
        if not self._stop:
            return text
        passed = self._hold_back.feed(text)
        self.found = passed.found
        return passed.text

    def flush(self) -> str:
        """The text has ended: what was held back is no stop string."""
        return "" if self.stopped else self._hold_back.flush()
