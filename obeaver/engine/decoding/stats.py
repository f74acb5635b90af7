"""What an engine counts: values for `/health`, `/metrics` and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from obeaver.engine.decoding.plan import Computed, RowResult, Sampled, StepOutcome, StepPlan
from obeaver.engine.decoding.sequence import Finished, FinishReason, Sequence, SequenceId, Status


@dataclass(frozen=True, slots=True)
class EngineTotals:
    """Counters since the engine was built.

    Attributes:
        steps: Steps made.
        prompt_tokens: Prompt tokens taken in, cached ones among them.
        cached_tokens: Those of them that came from known prefixes and were not computed.
        generated_tokens: Tokens sampled.
        lookahead_guesses: Tokens computed ahead on a guess.
        lookahead_tokens: Generated tokens for which nothing was left to compute: a guess had been right.
        finished: Sequences that ended, by reason; every reason has its entry.
    """

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    lookahead_guesses: int = 0
    lookahead_tokens: int = 0
    finished: Mapping[FinishReason, int] = field(default_factory=lambda: dict.fromkeys(FinishReason, 0))

    def since(self, earlier: "EngineTotals") -> "EngineTotals":
        """What has been added to them since then."""
        return EngineTotals(
            self.steps - earlier.steps,
            self.prompt_tokens - earlier.prompt_tokens,
            self.cached_tokens - earlier.cached_tokens,
            self.generated_tokens - earlier.generated_tokens,
            self.lookahead_guesses - earlier.lookahead_guesses,
            self.lookahead_tokens - earlier.lookahead_tokens,
            {reason: count - earlier.finished[reason] for reason, count in self.finished.items()},
        )


class RunningSequence(NamedTuple):
    """How far a sequence has come that is in prefill or decode.

    Attributes:
        id: Which one.
        is_decoding: Whether its prompt is done.
        num_prompt: Tokens of its prompt.
        num_prefilled: Those of them whose keys and values stand in its row.
        num_cached: Those of these that were not computed for it.
        num_output: Tokens of its answer.
    """

    id: SequenceId
    is_decoding: bool
    num_prompt: int
    num_prefilled: int
    num_cached: int
    num_output: int

    @classmethod
    def of(cls, sequence: Sequence) -> Self:
        """A sequence as it stands."""
        num_prompt = len(sequence.prompt_ids)
        num_prefilled = min(sequence.num_computed, num_prompt)
        is_decoding = sequence.status is Status.DECODE
        return cls(sequence.id, is_decoding, num_prompt, num_prefilled, sequence.num_cached, len(sequence.output_ids))


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How an engine stands after a step.

    Attributes:
        running: Sequences in prefill or decode, in the order of their rows.
        num_waiting: Sequences that have not begun, or were set aside and go on.
        num_paused: Sequences that are set aside.
        kv_used_bytes: Bytes of the row buffers.
        prefix_cache_bytes: Bytes of keys and values in the prefix cache.
        prefix_cache_entries: Pieces of prompts that it holds.
        totals: The counters.
    """

    running: tuple[RunningSequence, ...] = ()
    num_waiting: int = 0
    num_paused: int = 0
    kv_used_bytes: int = 0
    prefix_cache_bytes: int = 0
    prefix_cache_entries: int = 0
    totals: EngineTotals = field(default_factory=EngineTotals)

    @property
    def num_running(self) -> int:
        """Sequences in prefill or decode."""
        return len(self.running)


class Tally:
    """The counters while they count."""

    def __init__(self) -> None:
        self._steps = self._prompt_tokens = self._cached_tokens = self._generated_tokens = 0
        self._finished = dict.fromkeys(FinishReason, 0)

    def count_work(self, plan: StepPlan, results: Mapping[SequenceId, RowResult]) -> None:
        """Prompt tokens that a plan's chunks took in; failed ones do not count."""
        for chunk in plan.prefills:
            if isinstance(results[chunk.sequence_id], Sampled | Computed) and not chunk.is_again:
                known = chunk.source.num_tokens if chunk.source is not None else 0
                self._cached_tokens += known
                self._prompt_tokens += known + len(chunk.token_ids)

    def count_outcome(self, outcome: StepOutcome) -> None:
        """A step with its tokens and its ends."""
        self._steps += 1
        self._generated_tokens += len(outcome.advanced)
        for ended in outcome.ended:
            reason = ended.result.reason if isinstance(ended.result, Finished) else FinishReason.FAILED
            self._finished[reason] += 1

    def totals(self, *, lookahead_guesses: int, lookahead_tokens: int) -> EngineTotals:
        """The counters as a value; two of them are counted elsewhere."""
        return EngineTotals(
            self._steps,
            self._prompt_tokens,
            self._cached_tokens,
            self._generated_tokens,
            lookahead_guesses,
            lookahead_tokens,
            dict(self._finished),
        )
