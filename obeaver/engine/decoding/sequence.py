"""A sequence and what it may become: values, and one table of transitions.

A *sequence* is one stream of token ids inside the engine; a *request* exists only for HTTP, and one request with
`n=4` makes four sequences.

    WAITING ──> PREFILL ──> DECODE ──> FINISHED
       │           │                      ^
       └───────────┴──────────────────────┘      (abort, failure, or a first token that ends it)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

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
    Status.DECODE: frozenset({Status.FINISHED}),
    Status.FINISHED: frozenset(),
}


class IllegalTransition(Exception):
    """A sequence was told to go where its status does not lead. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen. Field defaults are neutral (nothing is filtered); the API's schema owns its own defaults.

    Attributes:
        max_tokens: Tokens to generate at most, at least 1.
        min_tokens: End-of-text ids are forbidden before this many tokens.
        temperature: 0 is greedy.
        top_k: Keep the k most likely; 0 is off.
        top_p: Keep the smallest set whose probability reaches p; 1 is off.
        min_p: Keep tokens with at least this share of the likeliest token's probability; 0 is off.
        repetition_penalty: Divides positive and multiplies negative logits of ids in prompt and answer (CTRL, Keskar et
            al. 2019, section 4.1); 1 is off.
        presence_penalty: Subtracted once from the logit of each id in the answer; 0 is off.
        frequency_penalty: Subtracted from the logit of each id in the answer, each time it stands there; 0 is off.
        logit_bias: Token id to a number added to its logit.
        seed: Makes the random stream reproducible; None draws one.
        num_logprobs: None for no log-probabilities; else how many alternatives to report beside the chosen token's own.
        num_prompt_logprobs: The same for the prompt's tokens. The whole prompt is computed then: what is cached has no
            logits.
        stop_token_ids: Ids that end the sequence. The ending id is part of the output; the text layer drops it.
        grammar: Text of a grammar for the engine's grammar compiler, or None for free text.
    """

    max_tokens: int
    min_tokens: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    num_logprobs: int | None = None
    num_prompt_logprobs: int | None = None
    stop_token_ids: frozenset[int] = frozenset()
    grammar: str | None = None


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
        num_cached: Prompt tokens that came from the prefix cache.
        finish_reason: Set with FINISHED.
    """

    id: SequenceId
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    output_ids: list[int] = field(default_factory=list)
    status: Status = Status.WAITING
    row: int | None = None
    num_computed: int = 0
    num_cached: int = 0
    finish_reason: FinishReason | None = None

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
