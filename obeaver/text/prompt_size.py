"""How many tokens a text has at least, told from its size: what can never fit need not be tokenised.

No token stands for more bytes than the longest one of the vocabulary. That bounds a text from below wherever the
tokenizer keeps every byte of it: byte-level vocabularies, and SentencePiece ones that fall back to bytes. Where a
normalizer or a splitter may drop text, or an unknown word is one token however long it is, size says nothing.

For texts that size alone does not refuse there is a second look: pieces of it are tokenised one after the other, and
counting ends as soon as they have twice the tokens that fit. A piece's own count differs from its part of the whole by
the few tokens at its edges, which is what the factor of two leaves room for.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from obeaver.errors import ObeaverError

PIECE_CHARS: Final = 65_536
"""What is tokenised at once where tokens are only counted: some 50 ms, outside of the interpreter lock."""

GROUP_CHARS: Final = 262_144
"""Of many texts, what is tokenised at once: the tokenizer takes some hundred bytes for each character of them."""

HONEST_CHARS_PER_TOKEN: Final = 8
"""Prose and code have three to five. A text that has more than this for each token that fits is counted first."""

SAFETY: Final = 2
"""So many times the tokens that fit must stand in the pieces."""

# Hangul jamo, and Greek letters with their accents written apart, are what composing shortens most: by less than four.
_COMPOSING: Final = 4
_CONTINUATIONS: Final = frozenset(range(0x80, 0xC0))
_DROPS_NOTHING: Final = frozenset({"ByteLevel", "Metaspace", "Digits", "Split"})

T = TypeVar("T", str, tuple[str, str], str | tuple[str, str])


class TooManyTokens(ObeaverError):
    """A text has more tokens than were wanted.

    Attributes:
        at_least: Tokens that it has for certain.
    """

    def __init__(self, at_least: int) -> None:
        super().__init__(f"the text has at least {at_least} tokens")
        self.at_least = at_least


@dataclass(frozen=True, slots=True)
class SizeBound:
    """What size tells of a vocabulary's texts.

    Attributes:
        most_bytes: Bytes of text that one token can stand for at most.
        dropped: Characters that no token stands for: some vocabularies lack a few of ASCII's control characters.
    """

    most_bytes: int
    dropped: str = ""

    def fewest_tokens(self, texts: Collection[str]) -> int:
        """Tokens that these texts have at least, put together in any way."""
        # A character is at least one byte.
        num_chars = sum(map(len, texts))
        num_chars -= sum(text.count(char) for char in self.dropped for text in texts)
        return -(-num_chars // self.most_bytes)

    def exceeds(self, texts: Collection[str], limit: int) -> bool:
        """Whether they certainly have more tokens than that; looks at their lengths first."""
        return sum(map(len, texts)) > limit * self.most_bytes and self.fewest_tokens(texts) > limit


def size_bound(definition: Mapping[str, Any], rows: Sequence[bytes]) -> SizeBound | None:
    """What size tells; None for nothing.

    Args:
        definition: A tokenizer.json.
        rows: The bytes of each id.
    """
    swallowing = any(token.get("lstrip") or token.get("rstrip") for token in definition.get("added_tokens") or ())
    factor = _shortening(definition.get("normalizer"))
    splitter = definition.get("pre_tokenizer")
    in_bytes = "ByteLevel" in _kinds(splitter) or bool((definition.get("model") or {}).get("byte_fallback"))
    known = set(rows)
    missing = {byte for byte in range(0x100) if bytes([byte]) not in known} if in_bytes else set()
    # With these, each character beyond ASCII keeps a byte.
    if swallowing or factor is None or not _splits_only(splitter) or not in_bytes or missing & _CONTINUATIONS:
        return None
    dropped = "".join(chr(byte) for byte in sorted(missing) if byte < 0x80)
    longest = max(map(len, rows), default=0)
    return SizeBound(factor * longest, dropped) if longest else None


def pieces_of(text: str) -> Iterator[str]:
    """The text in pieces of `PIECE_CHARS`."""
    for start in range(0, len(text), PIECE_CHARS):
        yield text[start : start + PIECE_CHARS]


def in_groups(texts: Sequence[T]) -> Iterator[Sequence[T]]:
    """Texts, or pairs, so many at a time that a group has at most `GROUP_CHARS`, or a single one that is longer."""
    group: list[T] = []
    num_chars = 0
    for text in texts:
        size = len(text) if isinstance(text, str) else sum(map(len, text))
        if group and num_chars + size > GROUP_CHARS:
            yield group
            group, num_chars = [], 0
        group.append(text)
        num_chars += size
    if group:
        yield group


def _shortening(normalizer: Any) -> int | None:
    """How many times shorter a normalizer makes a text at most; None: it may drop some of it."""
    match normalizer:
        case None:
            return 1
        case {"type": "Sequence", "normalizers": list(steps)}:
            factors = [_shortening(step) for step in steps]
            return None if None in factors else max((factor for factor in factors if factor), default=1)
        case {"type": "NFC"}:
            return _COMPOSING
        case {"type": "Prepend"}:
            return 1
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
            return 1 if old and len(old.encode()) <= len(new.encode()) else None
    return None


def _kinds(pre_tokenizer: Any) -> Iterator[str]:
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": list(steps)}:
            for step in steps:
                yield from _kinds(step)
        case {"type": str(kind)}:
            yield kind


def _splits_only(pre_tokenizer: Any) -> bool:
    match pre_tokenizer:
        case None:
            return True
        case {"type": "Sequence", "pretokenizers": list(steps)}:
            return all(map(_splits_only, steps))
        case {"type": "Split", "behavior": "Removed"}:
            return False
        case {"type": str(kind)}:
            return kind in _DROPS_NOTHING
    return False
