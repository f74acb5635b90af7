"""Stop strings: text up to the first of them, and nothing of it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from obeaver.text.hold_back import HoldBack, Patterns


class StopTokens(NamedTuple):
    """Control tokens that stop strings speak of. A decoder drops control tokens, so their text is never seen.

    Attributes:
        whole: Ids whose text is a stop string, with that text: they end an answer wherever they stand.
        within: Ids whose text is part of one, with that text.
    """

    whole: Mapping[int, str] = MappingProxyType({})
    within: Mapping[int, str] = MappingProxyType({})


def stop_tokens(stop: Iterable[str], control_ids: Mapping[str, int]) -> StopTokens:
    """The control tokens that stop strings speak of.

    Args:
        stop: The stop strings.
        control_ids: The model's control tokens by their text.
    """
    strings = frozenset(stop)
    whole = {control_ids[text]: text for text in strings if text in control_ids}
    within = {i: text for text, i in control_ids.items() if text and any(text in string for string in strings)}
    return StopTokens(whole, within)


class StopStrings:
    """Ends text where a stop string begins.

    The stop string that is complete first wins: generation would have ended there. Of several that are complete at the
    same character, the one that began first. Empty stop strings are ignored.

    Args:
        stop: The stop strings; where many texts end at the same ones, the automaton that finds them.
    """

    def __init__(self, stop: Iterable[str] | Patterns) -> None:
        patterns = stop if isinstance(stop, Patterns) else Patterns(stop)
        self._any = not patterns.is_empty
        self._hold_back = HoldBack(patterns)
        self._hidden: list[tuple[int, int]] = []
        self._num_fed = 0
        self._num_passed = 0
        self.found: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string has ended the text."""
        return self.found is not None

    def feed(self, text: str, *, shown: bool = True) -> str:
        """The text that is safe to send; after a stop string, always nothing.

        Args:
            text: The next piece.
            shown: If not, it may complete a stop string, but is no part of the text.
        """
        if self.stopped:
            return ""
        if not self._any:
            return text if shown else ""
        if not shown:
            self._hidden.append((self._num_fed, self._num_fed + len(text)))
        self._num_fed += len(text)
        passed = self._hold_back.feed(text)
        self.found = passed.found
        return self._shown(passed.text)

    def flush(self) -> str:
        """The text has ended: what was held back is no stop string."""
        return "" if self.stopped else self._shown(self._hold_back.flush())

    def _shown(self, passed: str) -> str:
        """What is left of text that has passed, without what is hidden."""
        start, end = self._num_passed, self._num_passed + len(passed)
        self._num_passed = end
        pieces, place = [], start
        for first, last in self._hidden:
            pieces.append(passed[place - start : max(first, place) - start])
            place = max(place, min(last, end))
        self._hidden = [(first, last) for first, last in self._hidden if last > end]
        return "".join([*pieces, passed[place - start :]])
