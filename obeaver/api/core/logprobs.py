"""Which tokens' log-probabilities go out with which piece of content.

Text is held back while it may become a stop string or a marker, so a piece of content often belongs to several tokens,
the first of them sampled a while ago. Tokens of reasoning, of calls and of the end of the text are not content, and are
left out.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from itertools import starmap
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs

TokenBytes: TypeAlias = Callable[[int], bytes]
"""Gives the bytes that a token id stands for."""

_PAIR: Final = Struct("=id")
"""A token id and a log-probability."""


class Alternatives:
    """Tokens with their log-probabilities, as an iterable of pairs; one piece of memory, however many they are.

    Eight answers of 1,000 tokens with 20 alternatives each were 340,000 objects as tuples: to free them kept the event
    loop six times as long, and Python does nothing else meanwhile.

    Args:
        token_bytes: Whose tokens they are.
        top: Ids and log-probabilities, likeliest first.
    """

    __slots__ = ("_packed", "_token_bytes")

    def __init__(self, token_bytes: TokenBytes, top: Iterable[tuple[int, float]] = ()) -> None:
        self._token_bytes = token_bytes
        self._packed = b"".join(starmap(_PAIR.pack, top))

    def __len__(self) -> int:
        return len(self._packed) // _PAIR.size

    def __iter__(self) -> Iterator[tuple[bytes, float]]:
        for token_id, logprob in _PAIR.iter_unpack(self._packed):
            yield self._token_bytes(token_id), logprob


class ContentToken(NamedTuple):
    """A token of an answer's content.

    Attributes:
        token: Its bytes: they, and not its text, join to the whole even inside a character.
        logprob: Natural logarithm of its probability.
        top: The likeliest tokens at its place, as many as were asked for, likeliest first.
    """

    token: bytes
    logprob: float
    top: Alternatives | tuple[tuple[bytes, float], ...] = ()


class ContentLogprobs:
    """The tokens of one choice whose text has not gone out yet.

    Args:
        token_bytes: Whose tokens they are.
        end_ids: Ids that end the text.
    """

    def __init__(self, token_bytes: TokenBytes, end_ids: Set[int]) -> None:
        self._token_bytes = token_bytes
        self._end_ids = end_ids
        self._held: list[ContentToken] = []

    def hold(self, token: SampledToken) -> None:
        """A token was sampled that may turn out to be content."""
        if token.logprobs is None or token.token_id in self._end_ids:
            return
        self._held.append(content_token(self._token_bytes, token.token_id, token.logprobs))

    def release(self) -> list[ContentToken]:
        """Everything held has become content."""
        held, self._held = self._held, []
        return held

    def release_up_to(self, text: str) -> list[ContentToken]:
        """Only `text` has become content; the tokens behind it were part of a stop string."""
        missing, released = len(text.encode()), []
        for entry in self.release():
            if missing <= 0:
                break
            released.append(entry)
            missing -= len(entry.token)
        return released

    def drop(self) -> None:
        """What is held was no content."""
        self._held = []


def content_token(token_bytes: TokenBytes, token_id: int, logprobs: TokenLogprobs) -> ContentToken:
    """A token with its log-probability and its alternatives."""
    top = Alternatives(token_bytes, logprobs.top) if logprobs.top else ()
    return ContentToken(token_bytes(token_id), logprobs.logprob, top)
