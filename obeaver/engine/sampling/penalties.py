"""Changes to logits that depend on which tokens a sequence holds: repetition, presence and frequency penalties."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from obeaver.engine.sampling.sampling_params import SamplingParams

# Far beyond any logit, and far from the end of float32: a penalty may push a token out, never make an infinity.
LOGIT_LIMIT: Final = 1e30


class Penalties:
    """The penalties of one sequence; a step costs the tokens it has seen, not the vocabulary.

    Args:
        params: Which penalties, and how strong.
        prompt_ids: Count as seen for the repetition penalty alone.
        vocab_size: Ids beyond it are no tokens of this model and are passed over.
    """

    def __init__(self, params: SamplingParams, prompt_ids: Sequence[int], vocab_size: int) -> None:
        self._repetition = params.repetition_penalty
        self._presence = params.presence_penalty
        self._frequency = params.frequency_penalty
        self._vocab_size = vocab_size
        self._place: dict[int, int] = {}
        self._ids = np.empty(64, np.intp)
        self._counts = np.zeros(64)
        self._num_outputs = 0
        if params.repetition_penalty != 1.0:
            self._see(dict.fromkeys(prompt_ids), 0)

    @staticmethod
    def are_asked(params: SamplingParams) -> bool:
        """Whether these parameters penalise anything."""
        return params.repetition_penalty != 1.0 or params.presence_penalty != 0.0 or params.frequency_penalty != 0.0

    def apply(self, logits: npt.NDArray[np.float32], output_ids: Sequence[int]) -> None:
        """Penalise in place. `output_ids` is the whole output so far; it only ever grows from call to call."""
        self._see(output_ids[self._num_outputs :], 1)
        self._num_outputs = len(output_ids)
        ids, counts = self._ids[: len(self._place)], self._counts[: len(self._place)]
        seen = logits[ids].astype(np.float64)
        seen = np.where(seen > 0, seen / self._repetition, seen * self._repetition)
        seen -= self._frequency * counts + self._presence * (counts > 0)
        logits[ids] = np.clip(seen, -LOGIT_LIMIT, LOGIT_LIMIT)

    def _see(self, token_ids: Iterable[int], count: int) -> None:
        for token_id in token_ids:
            if 0 <= token_id < self._vocab_size:
                place = self._place_of(token_id)
                self._counts[place] += count

    def _place_of(self, token_id: int) -> int:
        place = self._place.setdefault(token_id, len(self._place))
        if place == self._ids.size:
            self._ids = np.concatenate((self._ids, np.empty_like(self._ids)))
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        self._ids[place] = token_id
        return place


def bias_arrays(
    logit_bias: Iterable[tuple[int, float]], vocab_size: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Ids and numbers of a logit bias as arrays; ids outside the vocabulary cannot be sampled and are dropped."""
    known = [(token_id, bias) for token_id, bias in logit_bias if 0 <= token_id < vocab_size]
    ids = np.fromiter((token_id for token_id, _ in known), np.intp, len(known))
    biases = np.fromiter((bias for _, bias in known), np.float64, len(known))
    return ids, np.clip(biases, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
