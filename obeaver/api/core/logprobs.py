"""Which tokens' log-probabilities go out with which piece of content.

Text is held back while it may become a stop string or a marker, so a piece of content often belongs to several tokens,
the first of them sampled a while ago. Tokens of reasoning, of calls and of the end of the text are not content: OpenAI
reports none for them.
"""

from collections.abc import Callable, Set

from obeaver.api.contract import wire
from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs


class ContentLogprobs:
    """The tokens of one choice whose text has not gone out yet.

    Args:
        token_bytes: The bytes that a token id stands for.
        end_ids: Ids that end the text.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], end_ids: Set[int]) -> None:
        self._token_bytes = token_bytes
        self._end_ids = end_ids
        self._held: list[wire.Object] = []

    def hold(self, token: SampledToken) -> None:
        """A token was sampled that may turn out to be content."""
        if token.logprobs is None or token.token_id in self._end_ids:
            return
        self._held.append(token_entry(self._token_bytes, token.token_id, token.logprobs))

    def release(self) -> list[wire.Object]:
        """Everything held has become content."""
        held, self._held = self._held, []
        return held

    def release_up_to(self, text: str) -> list[wire.Object]:
        """Only `text` has become content; the tokens behind it were part of a stop string."""
        missing, released = len(text.encode()), []
        for entry in self.release():
            if missing <= 0:
                break
            released.append(entry)
            missing -= len(entry["bytes"])
        return released

    def drop(self) -> None:
        """What is held was no content."""
        self._held = []


def token_entry(token_bytes: Callable[[int], bytes], token_id: int, logprobs: TokenLogprobs) -> wire.Object:
    """A token with its log-probability and its alternatives."""
    entry = wire.token_logprob(token_bytes(token_id), logprobs.logprob)
    entry["top_logprobs"] = [wire.token_logprob(token_bytes(other), logprob) for other, logprob in logprobs.top]
    return entry
