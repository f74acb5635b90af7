"""What an engine counts: values for `/health`, `/metrics` and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from obeaver.engine.decoding.plan import Computed, RowResult, Sampled, StepOutcome, StepPlan
from obeaver.engine.decoding.sequence import Finished, FinishReason, SequenceId


@dataclass(frozen=True, slots=True)
class EngineTotals:
    """Counters since the engine was built.

    Attributes:
        steps: Steps made.
        prompt_tokens: Prompt tokens taken in, cached ones among them.
        cached_tokens: Those of them that came from known prefixes and were not computed.
        generated_tokens: Tokens sampled.
        lookahead_tokens: Those of them for which nothing was left to compute: a guess had been right.
        finished: Sequences that ended, by reason; every reason has its entry.
    """

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    lookahead_tokens: int = 0
    finished: Mapping[FinishReason, int] = field(default_factory=lambda: dict.fromkeys(FinishReason, 0))


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How an engine stands after a step.

    Attributes:
        num_running: Sequences in prefill or decode.
        num_waiting: Sequences that have not begun.
        kv_used_bytes: Bytes of the row buffers.
        prefix_cache_bytes: Bytes of keys and values in the prefix cache.
        totals: The counters.
    """

    num_running: int = 0
    num_waiting: int = 0
    kv_used_bytes: int = 0
    prefix_cache_bytes: int = 0
    totals: EngineTotals = field(default_factory=EngineTotals)


class Tally:
    """The counters while they count."""

    def __init__(self) -> None:
        self._steps = self._prompt_tokens = self._cached_tokens = self._generated_tokens = 0
        self._finished = dict.fromkeys(FinishReason, 0)

    def count_work(self, plan: StepPlan, results: Mapping[SequenceId, RowResult]) -> None:
        """Prompt tokens that a plan's chunks took in; failed ones do not count."""
        for chunk in plan.prefills:
            if isinstance(results[chunk.sequence_id], Sampled | Computed):
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

    def totals(self, *, lookahead_tokens: int) -> EngineTotals:
        """The counters as a value; one of them is counted elsewhere."""
        return EngineTotals(
            self._steps,
            self._prompt_tokens,
            self._cached_tokens,
            self._generated_tokens,
            lookahead_tokens,
            dict(self._finished),
        )
