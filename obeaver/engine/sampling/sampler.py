"""One sequence's choice of tokens: logits in, one id out.

In this order: log-probabilities are read from the model's own distribution; penalties, logit bias, `min_tokens` and the
grammar's mask change the logits; temperature scales them; top-k, top-p and min-p each keep a likeliest part of the
vocabulary; one token is drawn from what is left. Ties always go to the lowest id.

Every sequence has its own random stream, so what is served beside it never changes its tokens.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.runner import Logits
from obeaver.engine.sampling.logprobs import likeliest_token, token_logprobs
from obeaver.engine.sampling.penalties import Penalties, bias_arrays
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sampling.selection import Indices, heaviest, largest
from obeaver.errors import EngineFailed

TokenMask = npt.NDArray[np.bool_]

# Outside these a temperature acts like greedy or like a uniform draw anyway, and float32 would overflow.
_MIN_TEMPERATURE: Final = 1e-6
_MAX_TEMPERATURE: Final = 1e6
_BLOCK: Final = 128
_MINUS_INFINITY_BITS: Final = np.array(-np.inf, np.float32).view(np.int32)


class Sampler:
    """Samples one sequence, token after token.

    Args:
        params: How to sample.
        prompt_ids: Seen by the repetition penalty.
        vocab_size: Width of the logits.
    """

    def __init__(self, params: SamplingParams, prompt_ids: Sequence[int], vocab_size: int) -> None:
        self._params = params
        self._penalties = Penalties(params, prompt_ids, vocab_size) if Penalties.are_asked(params) else None
        self._bias_ids, self._biases = bias_arrays(params.logit_bias.items(), vocab_size)
        self._end_ids = np.array([i for i in sorted(params.stop_token_ids) if 0 <= i < vocab_size], np.intp)
        self._per_temperature = np.float32(1 / min(max(params.temperature, _MIN_TEMPERATURE), _MAX_TEMPERATURE))
        self._random = random_stream(params.seed)

    def sample(self, logits: Logits, output_ids: Sequence[int], mask: TokenMask | None = None) -> SampledToken:
        """Choose the next token.

        Args:
            logits: [vocab_size]; not modified.
            output_ids: The whole output so far; from call to call it only grows.
            mask: Ids that the grammar allows; ids beyond its end are forbidden.

        Raises:
            EngineFailed: The logits hold NaN or infinity, or no token is left to choose from.
        """
        likeliest = likeliest_token(logits)
        adjusted = self._adjust(logits, output_ids, mask)
        if mask is not None:
            token_id = self._choose_allowed(adjusted, mask)
        else:
            token_id = self._choose(adjusted, likeliest if adjusted is logits else int(adjusted.argmax()))
        if self._params.num_logprobs is None:
            return SampledToken(token_id)
        return SampledToken(token_id, token_logprobs(logits, likeliest, token_id, self._params.num_logprobs))

    def _adjust(self, logits: Logits, output_ids: Sequence[int], mask: TokenMask | None) -> Logits:
        """The logits after everything that is not temperature; a copy if anything changes."""
        forbid_end = len(output_ids) < self._params.min_tokens and self._end_ids.size > 0
        adjusted = logits
        if self._penalties is not None or self._bias_ids.size or forbid_end:
            adjusted = logits.copy()
        if self._penalties is not None:
            self._penalties.apply(adjusted, output_ids)
        if self._bias_ids.size:
            adjusted[self._bias_ids] += self._biases
        if forbid_end and (mask is None or _allows_others(mask, self._end_ids)):
            adjusted[self._end_ids] = -np.inf
        return adjusted

    def _choose_allowed(self, logits: Logits, mask: TokenMask) -> int:
        """Choose among the allowed alone: a mask mostly leaves few, and the others would only be carried along."""
        ids = np.flatnonzero(mask[: logits.size])
        allowed = logits[ids]
        if not ids.size:
            raise _nothing_left()
        return int(ids[self._choose(allowed, int(allowed.argmax()))])

    def _choose(self, logits: Logits, likeliest: int) -> int:
        if logits[likeliest] == -np.inf:
            raise _nothing_left()
        if self._params.temperature == 0:
            return likeliest
        if self._params.top_k == 0:
            return self._draw(self._weights(logits, logits[likeliest]))
        ids = largest(logits, self._params.top_k)
        return int(ids[self._draw(self._weights(logits[ids], logits[likeliest]))])

    def _weights(self, logits: Logits, peak: np.float32) -> Logits:
        """Chances before normalisation; the likeliest token's is 1."""
        weights = logits - peak
        weights *= self._per_temperature
        np.exp(weights, out=weights)
        return weights

    def _draw(self, weights: Logits) -> int:
        """Index of a weight, drawn within top-p and min-p; overwrites the weights."""
        top_p, min_p = self._params.top_p, self._params.min_p
        if top_p < 1:
            weights *= heaviest(weights, top_p * float(weights.sum()))
        if min_p > 0:
            # The likeliest token's weight is 1.
            weights *= weights >= min(min_p, 1)
        return draw(weights, self._random.random())


def random_stream(seed: int | None) -> np.random.Generator:
    """A generator for any integer seed, negative and huge ones included; None takes fresh entropy."""
    if seed is None:
        return np.random.Generator(np.random.PCG64())
    return np.random.Generator(np.random.PCG64([int(seed < 0), abs(seed)]))


def draw(weights: npt.NDArray[np.float32], uniform: float) -> int:
    """Index drawn with a chance proportional to its weight; at least one weight must be positive.

    Two steps, the block and then the place in it: a running sum over a whole vocabulary would cost ten times more.
    """
    if weights.size <= _BLOCK:
        return _pick(np.cumsum(weights, dtype=np.float64), uniform)
    num_full = weights.size // _BLOCK
    body = weights[: num_full * _BLOCK].reshape(num_full, _BLOCK).sum(axis=1)
    sums = np.append(body, weights[num_full * _BLOCK :].sum()).astype(np.float64)
    reached = np.cumsum(sums)
    block = _pick(reached, uniform)
    rest = uniform * reached[-1] - (reached[block] - sums[block])
    inside = np.cumsum(weights[block * _BLOCK : (block + 1) * _BLOCK], dtype=np.float64)
    return block * _BLOCK + _pick(inside, rest / inside[-1])


def _pick(reached: npt.NDArray[np.float64], uniform: float) -> int:
    """Place in a running sum of weights at this share of its total; never one of weight zero."""
    total = reached[-1]
    place = np.searchsorted(reached, uniform * total, side="right")
    # Rounding may push the product up to the total: then it is the last place that added anything.
    return int(min(place, np.searchsorted(reached, total)))


def _nothing_left() -> EngineFailed:
    return EngineFailed("No token is left to choose from.")


def _allows_others(mask: TokenMask, token_ids: Indices) -> bool:
    """Whether the mask allows anything beside these ids."""
    return bool(np.count_nonzero(mask) > np.count_nonzero(mask[token_ids[token_ids < mask.size]]))
