"""Log-probabilities: read from the model's own logits, for tokens that were sampled and for those of a prompt."""

from collections.abc import Sequence
from math import isfinite, log
from typing import Final

import numpy as np

from obeaver.engine.runners.runner import Logits
from obeaver.engine.sampling.sampled_token import TokenLogprobs
from obeaver.engine.sampling.selection import largest
from obeaver.errors import EngineFailed

ROWS_AT_ONCE: Final = 64
"""Prompt tokens whose logits exist at a time: 256 of them would take 155 MB with a vocabulary of 151,936."""


def likeliest_token(logits: Logits) -> int:
    """The id with the largest logit; of equal ones the lowest.

    Raises:
        EngineFailed: It is NaN or infinite.
    """
    # The index of the first NaN, if there is one.
    likeliest = int(logits.argmax())
    if not isfinite(logits[likeliest]):
        raise EngineFailed("The model's output is not a number: its weights or its graph are broken.")
    return likeliest


def token_logprobs(logits: Logits, likeliest: int, token_id: int, num_top: int) -> TokenLogprobs:
    """What a row of logits, [vocab_size], says of one token and of the likeliest ones."""
    peak = logits[likeliest]
    log_total = float(peak) + log(np.exp(logits - peak).sum())
    ids = largest(logits, num_top) if num_top else np.empty(0, np.intp)
    top = tuple((int(i), float(logits[i]) - log_total) for i in ids if logits[i] > -np.inf)
    return TokenLogprobs(float(logits[token_id]) - log_total, top)


class PromptLogprobs:
    """Log-probabilities of one prompt's tokens, gathered as the prompt is computed. The first token has none.

    Args:
        prompt_ids: The prompt.
        num_top: How many of the likeliest tokens to report at each place.
    """

    def __init__(self, prompt_ids: Sequence[int], num_top: int) -> None:
        self._prompt_ids = prompt_ids
        self._num_top = num_top
        self._found: list[TokenLogprobs] = []

    def add(self, logits: Logits, start: int) -> None:
        """Take logits, [n, vocab_size]: what stands after the prompt's token `start` and those that follow it.

        Raises:
            EngineFailed: They hold NaN or infinity.
        """
        for row, token_id in zip(logits, self._prompt_ids[start + 1 :], strict=False):
            self._found.append(token_logprobs(row, likeliest_token(row), token_id, self._num_top))

    def all(self) -> tuple[TokenLogprobs, ...]:
        """Those of every token but the first, once the whole prompt was computed."""
        return tuple(self._found)
