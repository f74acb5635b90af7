"""Log-probabilities: read from the model's own logits, for tokens that were sampled and for those of a prompt."""

from collections.abc import Sequence
from math import isfinite, log
from typing import Final

import numpy as np

from obeaver.engine.runners.runner import Logits
from obeaver.engine.sampling.sampled_token import TokenLogprobs
from obeaver.engine.sampling.selection import largest, largest_of_rows
from obeaver.errors import EngineFailed

ROWS_AT_ONCE: Final = 64
"""Prompt tokens whose logits exist at a time: 256 of them would take 155 MB with a vocabulary of 151,936."""

_ROWS_TOGETHER: Final = 8
"""Of which log-probabilities are read at once."""

_NO_NUMBER: Final = "The model's output is not a number: its weights or its graph are broken."


def likeliest_token(logits: Logits) -> int:
    """The id with the largest logit; of equal ones the lowest.

    Raises:
        EngineFailed: It is NaN or infinite.
    """
    # The index of the first NaN, if there is one.
    likeliest = int(logits.argmax())
    if not isfinite(logits[likeliest]):
        raise EngineFailed(_NO_NUMBER)
    return likeliest


def token_logprobs(logits: Logits, likeliest: int, token_id: int, num_top: int) -> TokenLogprobs:
    """What a row of logits, [vocab_size], says of one token and of the likeliest ones."""
    peak = logits[likeliest]
    log_total = float(peak) + log(np.exp(logits - peak).sum())
    ids = largest(logits, num_top) if num_top else np.empty(0, np.intp)
    top = tuple((int(i), float(logits[i]) - log_total) for i in ids if logits[i] > -np.inf)
    return TokenLogprobs(float(logits[token_id]) - log_total, top)


def logprobs_of_rows(logits: Logits, token_ids: Sequence[int], num_top: int, scratch: Logits) -> list[TokenLogprobs]:
    """What each row of logits, [n, vocab_size], says of its token and of the likeliest ones.

    All rows in a few operations: at each of them another thread may take the interpreter, and keep it for a turn.

    Args:
        logits: The rows.
        token_ids: The token of each.
        num_top: How many of the likeliest.
        scratch: At least as large as `logits`; fresh memory would take longer than all the rest.

    Raises:
        EngineFailed: They hold NaN or infinity.
    """
    peaks = logits.max(axis=1, keepdims=True, initial=-np.inf)
    if not np.isfinite(peaks).all():
        raise EngineFailed(_NO_NUMBER)
    weights = np.subtract(logits, peaks, out=scratch[: len(logits)])
    np.exp(weights, out=weights)
    totals = peaks[:, 0].astype(np.float64) + np.log(weights.sum(axis=1), dtype=np.float64)
    chosen = logits[np.arange(len(logits)), np.array(token_ids, np.intp)] - totals
    places, ids = largest_of_rows(logits, num_top) if num_top else (np.empty(0, np.intp),) * 2
    values = logits[places, ids]
    is_possible = values > -np.inf
    tops: list[list[tuple[int, float]]] = [[] for _ in token_ids]
    found = zip(places[is_possible], ids[is_possible], (values - totals[places])[is_possible], strict=True)
    for place, token_id, logprob in found:
        tops[place].append((int(token_id), float(logprob)))
    return [TokenLogprobs(float(own), tuple(top)) for own, top in zip(chosen, tops, strict=True)]


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
        self._scratch: Logits | None = None

    def add(self, logits: Logits, start: int) -> None:
        """Take logits, [n, vocab_size]: what stands after the prompt's token `start` and those that follow it.

        Raises:
            EngineFailed: They hold NaN or infinity.
        """
        token_ids = self._prompt_ids[start + 1 : start + 1 + len(logits)]
        if self._scratch is None:
            self._scratch = np.empty((_ROWS_TOGETHER, logits.shape[1]), np.float32)
        for begin in range(0, len(token_ids), _ROWS_TOGETHER):
            ids = token_ids[begin : begin + _ROWS_TOGETHER]
            self._found += logprobs_of_rows(logits[begin : begin + len(ids)], ids, self._num_top, self._scratch)

    def all(self) -> tuple[TokenLogprobs, ...]:
        """Those of every token but the first, once the whole prompt was computed."""
        return tuple(self._found)
