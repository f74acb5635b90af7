"""A prompt that still knows which of its characters are control tokens.

A chat template writes control tokens as text (`<|im_start|>user`), and a message may contain the same text. To tell
them apart, everything that came from a request is marked before rendering: a character that occurs nowhere in the
request goes into each control token found in its strings, which makes it plain text for `ControlTokens.split`. When the
prompt has been split, the marks are taken out again, and the text is what it was.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

_SLICE: Final = 65_536
"""Characters that a regular expression looks at without a pause: less than a millisecond."""


class Piece(NamedTuple):
    """Part of a prompt.

    Attributes:
        text: Its characters, at least one.
        is_control: The text is one control token; else it is plain text, whatever it looks like.
    """

    text: str
    is_control: bool


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What a chat template made of a conversation; its pieces joined are the prompt."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole prompt, for people: it does not tell control tokens from text that looks the same."""
        return "".join(piece.text for piece in self.pieces)


class ControlTokens:
    """Finds control tokens in text: the leftmost first, of several at one place the longest.

    Args:
        tokens: Their strings. Those of one character are left out: no template writes such, and nothing fits into them.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._tokens = frozenset(token for token in tokens if len(token) > 1)
        lengths: dict[str, set[int]] = {}
        for token in self._tokens:
            lengths.setdefault(token[0], set()).add(len(token))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile(f"[{re.escape(''.join(lengths))}]" if lengths else r"(?!)")
        self._heads = frozenset(token[:end] for token in self._tokens for end in range(1, len(token)))
        self._tails = frozenset(token[start:] for token in self._tokens for start in range(1, len(token)))
        self._tail_lengths = _lengths_by(self._tails, first=True)
        self._head_lengths = _lengths_by(self._heads, first=False)

    def split(self, text: str) -> Iterator[Piece]:
        """Cut text into control tokens and what is between them."""
        done = 0
        for start, end in self._found(text):
            if start < done:
                continue
            if start > done:
                yield Piece(text[done:start], is_control=False)
            yield Piece(text[start:end], is_control=True)
            done = end
        if done < len(text):
            yield Piece(text[done:], is_control=False)

    def mark(self, text: str, mark: str) -> str:
        """Put the mark into every control token in the text."""
        parts, done = [], 0
        for start, _ in self._found(text):
            parts += [text[done : start + 1], mark]
            done = start + 1
        return "".join([*parts, text[done:]]) if parts else text

    def mark_edges(self, text: str, mark: str) -> str:
        """Put the mark where the text could become a control token together with what a template writes next to it.

        The mark goes inside of white space around the text, since templates strip that.
        """
        core = text.strip()
        before = mark if self._begins_with_tail(core) else ""
        after = mark if self._ends_with_head(core) else ""
        return text.replace(core, f"{before}{core}{after}", 1) if before or after else text

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where control tokens stand, overlapping ones too."""
        for start in self._candidates(text):
            first = text[start]
            for length in self._lengths[first]:
                if text[start : start + length] in self._tokens:
                    yield start, start + length
                    break

    def _candidates(self, text: str) -> Iterator[int]:
        """Where the first character of a control token stands. Between two slices other threads get their turn."""
        for start in range(0, len(text), _SLICE):
            for match in self._first.finditer(text, start, start + _SLICE):
                yield match.start()

    def _begins_with_tail(self, text: str) -> bool:
        return any(text[:length] in self._tails for length in self._tail_lengths.get(text[:1], ()))

    def _ends_with_head(self, text: str) -> bool:
        return any(text[-length:] in self._heads for length in self._head_lengths.get(text[-1:], ()))


def _lengths_by(parts: Iterable[str], *, first: bool) -> dict[str, list[int]]:
    """How long parts are that begin, or else end, with a character."""
    found: dict[str, set[int]] = {}
    for part in parts:
        found.setdefault(part[0] if first else part[-1], set()).add(len(part))
    return {char: sorted(lengths) for char, lengths in found.items()}
