"""Which tokens' log-probabilities go out with which piece of content.

Text is held back while it may become a stop string or a marker, so a piece of content often belongs to several tokens,
the first of them sampled a while ago. Tokens of reasoning, of calls and of the end of the text are not content, and are
left out.
"""

from collections.abc import Callable, Set
from typing import NamedTuple

from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs


class ContentToken(NamedTuple):
    """A token of an answer's content.

    Attributes:
        token: Its bytes: they, and not its text, join to the whole even inside a character.
        logprob: Natural logarithm of its probability.
        top: The likeliest tokens at its place, as many as were asked for, likeliest first.
    """

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


class ContentLogprobs:
    """The tokens of one choice whose text has not gone out yet.

    Args:
        token_bytes: The bytes that a token id stands for.
        end_ids: Ids that end the text.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], end_ids: Set[int]) -> None:
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


def content_token(token_bytes: Callable[[int], bytes], token_id: int, logprobs: TokenLogprobs) -> ContentToken:
    """A token with its log-probability and its alternatives."""
    top = tuple((token_bytes(other), logprob) for other, logprob in logprobs.top)
    return ContentToken(token_bytes(token_id), logprobs.logprob, top)
