"""What was chosen, and how likely it was."""

from typing import NamedTuple


class TokenLogprobs(NamedTuple):
    """Natural-log probabilities of the model's own distribution, before any penalty, filter or mask.

    `top` is sorted, likeliest first, ties by id.
    """

    logprob: float
    top: tuple[tuple[int, float], ...]


class SampledToken(NamedTuple):
    """One token as it leaves the engine.

    Attributes:
        token_id: Which token.
        logprobs: Its own, if asked for.
        prompt_logprobs: With a sequence's first token, if asked for: those of the prompt's tokens but the first.
    """

    token_id: int
    logprobs: TokenLogprobs | None = None
    prompt_logprobs: tuple[TokenLogprobs, ...] = ()
