"""A sequence and what it may become: values, and one table of transitions.

A *sequence* is one stream of token ids inside the engine; a *request* exists only for HTTP, and one request with
`n=4` makes four sequences.

    WAITING ──> PREFILL ──> DECODE ──> FINISHED
       ^           │          │           ^
       │           └──────────┼───────────┤      (abort, failure, or a first token that ends it)
       └──────────────────────┘           │      (set aside: nobody reads what it has said)
       (waiting ones end too) ────────────┘
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from obeaver.engine.sampling.sampling_params import SamplingParams

SequenceId = int


class Status(Enum):
    """Where a sequence stands."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"


class FinishReason(Enum):
    """Why a sequence ended. The first two are what a client reads as `stop` and `length`."""

    STOP = "stop"
    LENGTH = "length"
    ABORTED = "aborted"
    FAILED = "failed"


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.WAITING: frozenset({Status.PREFILL, Status.FINISHED}),
    Status.PREFILL: frozenset({Status.DECODE, Status.FINISHED}),
    Status.DECODE: frozenset({Status.WAITING, Status.FINISHED}),
    Status.FINISHED: frozenset(),
}


class IllegalTransition(Exception):
    """A sequence was told to go where its status does not lead. Nothing was changed."""


class Finished(NamedTuple):
    """How a sequence ended, and what it counted."""

    reason: FinishReason
    num_prompt_tokens: int
    num_cached_tokens: int
    num_output_tokens: int


@dataclass(slots=True, eq=False)
class Sequence:
    """One stream of tokens. Owned by the engine thread after it was submitted.

    Attributes:
        id: Unique within a worker.
        prompt_ids: At least one token.
        params: How to sample.
        output_ids: What was generated so far; the last one may not have been computed yet.
        status: Changed by `move_to` alone.
        row: Its row in the shared KV buffers while it has one; written by `KvSlots` alone.
        num_computed: Tokens of prompt and output whose keys and values stand in the row.
        num_unfinished: Tokens behind those of which the row has some layers' keys and values.
        num_cached: Prompt tokens that came from the prefix cache.
        finish_reason: Set with FINISHED.
        fill_ids: What is to be computed before the next token can be sampled: the prompt, and of a sequence that was
            set aside its output too.
    """

    id: SequenceId
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    output_ids: list[int] = field(default_factory=list)
    status: Status = Status.WAITING
    row: int | None = None
    num_computed: int = 0
    num_unfinished: int = 0
    num_cached: int = 0
    finish_reason: FinishReason | None = None
    fill_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.fill_ids = self.prompt_ids

    def set_aside(self) -> None:
        """Back to WAITING; what stood in its row has to be computed again, or copied."""
        self.move_to(Status.WAITING)
        self.fill_ids = self.prompt_ids + tuple(self.output_ids)
        self.num_computed = 0

    def move_to(self, status: Status) -> None:
        """Change status along the table.

        Raises:
            IllegalTransition: The table has no such edge; nothing was changed.
        """
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransition(f"sequence {self.id}: {self.status.value} -> {status.value}")
        self.status = status

    def finish(self, reason: FinishReason) -> None:
        """Move to FINISHED for this reason."""
        self.move_to(Status.FINISHED)
        self.finish_reason = reason

    @property
    def num_held(self) -> int:
        """Tokens of which something stands in the row."""
        return self.num_computed + self.num_unfinished

    @property
    def num_prompt(self) -> int:
        """Prompt tokens."""
        return len(self.prompt_ids)

    @property
    def num_tokens(self) -> int:
        """Tokens of prompt and output together."""
        return len(self.prompt_ids) + len(self.output_ids)

    @property
    def max_num_tokens(self) -> int:
        """Tokens that it can ever hold."""
        return len(self.prompt_ids) + self.params.max_tokens
