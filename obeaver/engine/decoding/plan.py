"""A step as values: what shall be done, what each row gave, what leaves the engine.

    scheduler.plan() -> StepPlan -> core executes it -> RowResult for each sequence -> scheduler.commit() -> StepOutcome

Nothing here changes once made, so a plan that is dropped has cost nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

from obeaver.engine.decoding.prefix_cache import PrefixMatch
from obeaver.engine.decoding.sequence import Finished, SequenceId
from obeaver.engine.runners.runner import WHOLE, KvShape, Part
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.errors import ApiError


class Move(NamedTuple):
    """Row `source` goes to row `target`, with the `num_tokens` that it holds.

    Where `num_back` is not 0, `target` is not free: it holds so many tokens, which go to row `source`.
    """

    source: int
    target: int
    num_tokens: int
    num_back: int = 0


class RowPrefix(NamedTuple):
    """The first `num_tokens` of another row, as rows stand after the plan's moves."""

    row: int
    num_tokens: int


PrefixSource = PrefixMatch | RowPrefix
"""Where keys and values that need no computing come from."""


@dataclass(frozen=True, slots=True)
class DecodeBatch:
    """Rows 0 to n-1, one token each.

    Attributes:
        sequence_ids: Who sits in each row.
        token_ids: The token that each feeds.
        lengths: Tokens that each row holds before.
    """

    sequence_ids: tuple[SequenceId, ...]
    token_ids: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """Consecutive prompt tokens of one row.

    Attributes:
        sequence_id: Whose prompt it is.
        row: The row after the plan's moves.
        token_ids: At least one, of the prompt, or of a sequence that was set aside also of its output.
        start: Place of the first of them; everything before stands in the row, or comes from `source`.
        is_last: The prompt ends here: logits are wanted, a token is sampled.
        source: Set in a sequence's first chunk when some of its prompt is known already.
        is_again: The sequence was set aside, and goes on: its prompt was counted, and reported on, before.
        is_output: The tokens are such a sequence's output, to be computed as they were then.
        part: The layers that this step computes.
    """

    sequence_id: SequenceId
    row: int
    token_ids: tuple[int, ...]
    start: int
    is_last: bool
    source: PrefixSource | None = None
    is_again: bool = False
    is_output: bool = False
    part: Part = WHOLE

    @property
    def stop(self) -> int:
        """Tokens in the row once the chunk is computed."""
        return self.start + len(self.token_ids)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step, in the order of execution: moves, resize, decode, prefill chunks.

    Attributes:
        moves: Rows that change their place.
        shape: Of the buffers from now on; None where it stays.
        held: What `shape` must keep: tokens in each row after the moves.
        decode: The decode run.
        prefills: Chunks of prompts.
        spent: What these and the moves take of what steps have for prompts, with what the steps before took too much.
    """

    moves: tuple[Move, ...] = ()
    shape: KvShape | None = None
    held: tuple[int, ...] = ()
    decode: DecodeBatch | None = None
    prefills: tuple[PrefillChunk, ...] = ()
    spent: int = 0

    @property
    def is_lone_decode(self) -> bool:
        """Whether one sequence decodes and nothing else happens."""
        others = (*self.moves, *self.prefills)
        return self.decode is not None and len(self.decode.token_ids) == 1 and not others and self.shape is None


class Sampled(NamedTuple):
    """A row's run gave a token.

    Attributes:
        token: The token.
        ends: A grammar has nothing more to say.
        is_stuck: A grammar has more to say and finds no token for it: the answer is cut here.
    """

    token: SampledToken
    ends: bool = False
    is_stuck: bool = False


class Computed(NamedTuple):
    """A row's chunk went well and the prompt goes on."""


class PartComputed(NamedTuple):
    """Some layers of a chunk were computed; the next ones are the next step's."""


RowResult = Sampled | Computed | PartComputed | ApiError
"""What one sequence got from a step; an error ends that sequence."""


class Advanced(NamedTuple):
    """A sequence has a new token."""

    sequence_id: SequenceId
    token: SampledToken


class Ended(NamedTuple):
    """A sequence is over: it finished, or an error ended it."""

    sequence_id: SequenceId
    result: Finished | ApiError


class StepOutcome(NamedTuple):
    """All that a step sends out; the token of a sequence comes before its end."""

    advanced: tuple[Advanced, ...] = ()
    ended: tuple[Ended, ...] = ()
