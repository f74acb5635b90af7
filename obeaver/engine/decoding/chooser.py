"""How the next token of one sequence is chosen: its sampler and, if it has one, its constraint.

The engine's core knows both by these protocols alone; the composition root passes the factories.
"""

import logging
from collections import abc
from typing import Protocol

import numpy as np
import numpy.typing as npt

from obeaver.engine.decoding.plan import Sampled
from obeaver.engine.decoding.sequence import Sequence
from obeaver.engine.runners.runner import Logits
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import GrammarTooComplex

logger = logging.getLogger(__name__)

Mask = npt.NDArray[np.bool_]
"""[vocab_size]: which token ids are allowed."""


class TokenSampler(Protocol):
    """Chooses the tokens of one sequence; owns its random stream."""

    def sample(self, logits: Logits, output_ids: abc.Sequence[int], mask: Mask | None) -> SampledToken:
        """The next token; `logits` [vocab_size] must be left as they are."""


class Constraint(Protocol):
    """What one sequence may say, token by token."""

    def allowed(self) -> Mask | None:
        """Ids that may come next; None when all may.

        Raises:
            GrammarTooComplex: None may, and this is no end; or nobody can say which.
        """

    def forced(self) -> abc.Sequence[int]:
        """Ids that are likely to come next because little else may; empty where nothing is."""

    def accept(self, token_id: int) -> None:
        """This token came.

        Raises:
            GrammarTooComplex: Nobody can say what may follow.
        """

    @property
    def finished(self) -> bool:
        """Whether nothing can follow."""


MakeSampler = abc.Callable[[SamplingParams, abc.Sequence[int], int], TokenSampler]
"""(params, prompt ids, vocabulary size) -> the sampler of one sequence."""

MakeConstraint = abc.Callable[[SamplingParams], Constraint | None]
"""The constraint of one sequence, if it has one; may raise an ApiError for a grammar that does not compile."""


def unconstrained(params: SamplingParams) -> None:
    """The factory of an engine without grammars."""


class Chooser:
    """Sampler and constraint of one sequence, made when it starts."""

    def __init__(self, sequence: Sequence, sampler: TokenSampler, constraint: Constraint | None) -> None:
        self._output_ids = sequence.output_ids
        self._sampler = sampler
        self._constraint = constraint
        self._mask: Mask | None = None

    def forced(self) -> abc.Sequence[int]:
        """Ids that the constraint all but leaves as the next ones."""
        return () if self._constraint is None else self._constraint.forced()

    def choose(self, logits: Logits) -> Sampled:
        """The next token of the sequence; `logits` [vocab_size] stand after everything that it holds."""
        constraint = self._constraint
        if constraint is None:
            return Sampled(self._sampler.sample(logits, self._output_ids, None))
        mask = constraint.allowed() if self._mask is None else self._mask
        token = self._sampler.sample(logits, self._output_ids, mask)
        try:
            constraint.accept(token.token_id)
            if constraint.finished:
                return Sampled(token, ends=True)
            self._mask = constraint.allowed()
        except GrammarTooComplex as error:
            # Few grammars lead to where nothing can follow, or to more ways than can be followed, and compiling does
            # not find all of those. What was written stands, as if the answer had come to its limit.
            # The library's own reason quotes the answer, so it is not logged.
            logger.warning("an answer is cut: %s", error)
            return Sampled(token, is_stuck=True)
        return Sampled(token)
