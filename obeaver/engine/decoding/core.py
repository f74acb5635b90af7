"""EngineCore: one step at a time, synchronous. Schedule, run, sample, commit.

A step is a transaction. What fails before the commit ends exactly whom it concerns:

    decode run            the sequences of the batch
    prefill run or copy   the one sequence
    sampler, grammar      the one sequence
    moves, resize         every running sequence: nobody knows what the rows hold; the buffers begin anew
    storing a prefix      nobody: it is logged, and the prefix is not there

An error anywhere else is a bug; it leaves `step`, and whoever drives the engine must take it for dead.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.chooser import Chooser, MakeConstraint, MakeSampler, unconstrained
from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.kv_slots import KvSlots
from obeaver.engine.decoding.lookahead import Lookahead
from obeaver.engine.decoding.plan import (
    Computed,
    DecodeBatch,
    Ended,
    PartComputed,
    PrefillChunk,
    RowPrefix,
    RowResult,
    StepOutcome,
    StepPlan,
)
from obeaver.engine.decoding.prefix_cache import NODE_TOKENS, PrefixCache
from obeaver.engine.decoding.recall import Recall
from obeaver.engine.decoding.scheduler import Scheduler
from obeaver.engine.decoding.sequence import Sequence, SequenceId
from obeaver.engine.decoding.stats import EngineStats, RunningSequence, Tally
from obeaver.engine.prefix_disk.prefix_disk import Part, PrefixDisk, ReadEnded
from obeaver.engine.runners.runner import Logits, Runner, RunnerInfo
from obeaver.engine.sampling.logprobs import ROWS_AT_ONCE, PromptLogprobs
from obeaver.engine.tracing import UNTRACED, Tracer
from obeaver.errors import ApiError, EngineFailed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine may use.

    Attributes:
        kv_budget_bytes: Bytes of keys and values in all, rows and prefix cache.
        prefix_cache_bytes: The prefix cache's part of that; 0 for none.
        max_rows: Most sequences that run together.
        chunks: Prompt tokens in a step.
        lookahead: Most tokens computed ahead of a sequence that decodes alone; 0 for none.
    """

    kv_budget_bytes: int
    prefix_cache_bytes: int = 0
    max_rows: int = 16
    chunks: ChunkBudget = field(default_factory=ChunkBudget)
    lookahead: int = 0


class EngineCore:
    """Sequences in, tokens out. Everything is called from one thread.

    Args:
        runner: The loaded model; `close` closes it.
        settings: The limits.
        make_sampler: Makes each sequence's sampler.
        make_constraint: Makes each sequence's constraint.
        trace: Records what takes how long.
        disk: Keeps what the prefix cache is told, and finds it again; `close` closes it. For runners that can copy.
    """

    def __init__(
        self,
        runner: Runner,
        settings: EngineSettings,
        *,
        make_sampler: MakeSampler,
        make_constraint: MakeConstraint = unconstrained,
        trace: Tracer = UNTRACED,
        disk: PrefixDisk | None = None,
    ) -> None:
        info = runner.info
        self._runner = runner
        self._settings = settings
        self._make_sampler = make_sampler
        self._make_constraint = make_constraint
        self._trace = trace
        self._disk = disk
        self._recall: Recall | None = None
        self._prefix = PrefixCache(settings.prefix_cache_bytes, info.kv_bytes_per_token) if info.can_copy_kv else None
        self.admission = Admission(
            context_length=info.context_length,
            bytes_per_token=info.kv_bytes_per_token,
            max_rows=min(settings.max_rows, info.max_rows),
            budget_bytes=settings.kv_budget_bytes - (settings.prefix_cache_bytes if info.can_copy_kv else 0),
        )
        self._slots = KvSlots(self.admission.smallest)
        can_look_ahead = settings.lookahead > 0 and info.decodes_ahead and info.gives_all_logits
        self._lookahead = Lookahead(runner, settings.lookahead) if can_look_ahead else None
        self._scheduler = Scheduler(
            self.admission,
            settings.chunks,
            self._slots,
            self._prefix,
            match_outputs=info.decodes_as_prefill,
            most_parts=info.num_parts,
        )
        self._choosers: dict[SequenceId, Chooser] = {}
        self._prompt_logprobs: dict[SequenceId, PromptLogprobs] = {}
        self._ended: list[Ended] = []
        self._tally = Tally()
        runner.resize(self.admission.smallest)

    @property
    def info(self) -> RunnerInfo:
        """What runs the model."""
        return self._runner.info

    @property
    def settings(self) -> EngineSettings:
        """The limits."""
        return self._settings

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything: compute, report an end, or give memory back."""
        busy = bool(self._scheduler.running()) or self._scheduler.can_start or bool(self._ended)
        return busy or bool(self._scheduler.ended_rows()) or self._slots.shape != self.admission.smallest

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. One that can never fit ends with the next outcome."""
        try:
            self._scheduler.add(sequence)
        except ApiError as error:
            self._ended.append(Ended(sequence.id, error))

    def abort(self, sequence_id: SequenceId) -> None:
        """End a sequence now; the next outcome reports it, the next step has its row. Unknown ids are ignored."""
        ended = self._scheduler.abort(sequence_id)
        if ended is not None:
            self._ended.append(ended)

    def recall_by(self, deliver: Callable[[Part | ReadEnded], None]) -> None:
        """Let beginnings of prompts be read from the disk from now on.

        Args:
            deliver: Called in another thread with what is for `receive` in this one.
        """
        if self._disk is not None and self._prefix is not None:
            self._recall = Recall(self._scheduler, self._prefix, self._disk, deliver)

    def receive(self, message: Part | ReadEnded) -> None:
        """Take what was read from the disk."""
        if self._recall is None:
            return
        if isinstance(message, Part):
            self._recall.receive(message)
        else:
            self._recall.end(message.sequence_id)

    @property
    def disk(self) -> PrefixDisk | None:
        """What keeps prefixes beyond this engine's life."""
        return self._disk

    @property
    def can_pause(self) -> bool:
        """Whether a sequence can stand still without a trace in its tokens."""
        return self.info.decodes_ahead

    def pause(self, sequence_id: SequenceId) -> None:
        """Let a sequence stand still, without a row, until `resume`, if that `can_pause`. Unknown ids are ignored."""
        if self.can_pause:
            self._scheduler.pause(sequence_id)

    def resume(self, sequence_id: SequenceId) -> None:
        """Let a sequence go on. Unknown ids are ignored."""
        self._scheduler.resume(sequence_id)

    def step(self) -> StepOutcome:
        """Advance everybody as far as one step goes."""
        span = self._trace.span
        with span("step", running=self._scheduler.num_running, waiting=self._scheduler.num_waiting):
            with span("retire"):
                self._retire()
                self._set_aside()
            if self._recall is not None:
                with span("recall"):
                    self._recall.look()
            with span("plan"):
                plan = self._scheduler.plan()
            try:
                with span("reshape", moves=len(plan.moves)):
                    self._reshape(plan)
            except Exception:  # noqa: BLE001 - whatever a runtime raises, the rows are lost and the engine may live
                return self._report(StepOutcome(ended=self._lose_rows()))
            results = self._execute(plan)
            with span("commit"):
                self._tally.count_work(plan, results)
                return self._report(self._scheduler.commit(plan, results))

    def stats(self) -> EngineStats:
        """How things stand."""
        prefix, ahead = self._prefix, self._lookahead
        return EngineStats(
            running=tuple(map(RunningSequence.of, self._scheduler.running())),
            num_waiting=self._scheduler.num_waiting,
            num_paused=self._scheduler.num_paused,
            kv_used_bytes=self.admission.num_bytes(self._slots.shape),
            prefix_cache_bytes=0 if prefix is None else prefix.used_bytes,
            prefix_cache_entries=0 if prefix is None else prefix.num_nodes,
            totals=self._tally.totals(
                lookahead_guesses=0 if ahead is None else ahead.num_guessed,
                lookahead_tokens=0 if ahead is None else ahead.num_kept,
            ),
        )

    def invariants(self) -> list[str]:
        """Violations of what the engine's parts promise; an empty list is health."""
        found = self._scheduler.invariants()
        if self._prefix is not None:
            found += self._prefix.invariants()
        if not self.admission.fits(self._slots.shape) and self._slots.shape != self.admission.smallest:
            found.append(f"buffers of {self._slots.shape} are over the budget")
        return found

    def settle(self) -> None:
        """No step follows: keep what ended sequences have computed."""
        self._retire()

    def close(self) -> None:
        """Give weights and buffers back, and finish what is being stored."""
        self._runner.close()
        if self._disk is not None:
            self._disk.close()

    def _retire(self) -> None:
        """Store what ended sequences computed, then free their rows. At a step's edge: their clients have been told."""
        for sequence in self._scheduler.ended_rows():
            if self._prefix is not None and sequence.row is not None:
                self._store(self._prefix, sequence, sequence.row)
            self._runner.release_row(self._scheduler.release(sequence))

    def _set_aside(self) -> None:
        """Take the rows of paused sequences; what stands in them is kept for when they go on."""
        for sequence in self._scheduler.to_set_aside():
            if self._prefix is not None and sequence.row is not None:
                self._store(self._prefix, sequence, sequence.row)
            self._runner.release_row(self._scheduler.set_aside(sequence))
            if self._lookahead is not None:
                self._lookahead.forget()

    def _store(self, prefix: PrefixCache, sequence: Sequence, row: int) -> None:
        with _storing(sequence.id):
            token_ids = self._scheduler.storable(sequence)
            self._insert(prefix, token_ids, row)
            if self._disk is not None:
                self._disk.write(token_ids, prefix.match(token_ids))

    def _store_begun(self, chunk: PrefillChunk) -> None:
        """Store a long prompt node by node while others decode: all of it at its end would hold them up."""
        stop = chunk.stop // NODE_TOKENS * NODE_TOKENS
        if self._prefix is None or chunk.is_again or stop <= chunk.start:
            return
        with _storing(chunk.sequence_id):
            self._insert(self._prefix, self._scheduler.sequence(chunk.sequence_id).prompt_ids[:stop], chunk.row)

    def _insert(self, prefix: PrefixCache, token_ids: tuple[int, ...], row: int) -> None:
        prefix.insert(token_ids, lambda start, stop: self._runner.read_kv(row, start, stop))

    def _reshape(self, plan: StepPlan) -> None:
        for move in plan.moves:
            if move.num_back:
                self._runner.swap_rows(move.source, move.target, move.num_tokens, move.num_back)
            else:
                self._runner.move_row(move.source, move.target, move.num_tokens)
        if plan.shape is not None:
            self._runner.resize(plan.shape, plan.held)

    def _lose_rows(self) -> tuple[Ended, ...]:
        """Nobody knows what the rows hold: end all who run, and begin with fresh buffers."""
        logger.exception("the KV buffers could not be rearranged; every running sequence ends")
        ended = self._scheduler.fail_running(_engine_failed())
        self._retire()
        self._runner.resize(self.admission.smallest, ())
        self._slots.apply((), self.admission.smallest)
        return ended

    def _execute(self, plan: StepPlan) -> dict[SequenceId, RowResult]:
        results: dict[SequenceId, RowResult] = {}
        if plan.decode is not None:
            results.update(self._decode(plan, plan.decode))
        for chunk in plan.prefills:
            with self._trace.span("prefill", row=chunk.row, start=chunk.start, tokens=len(chunk.token_ids)):
                results[chunk.sequence_id] = result = self._prefill(chunk)
            if plan.decode is not None and isinstance(result, Computed):
                self._store_begun(chunk)
        return results

    def _decode(self, plan: StepPlan, batch: DecodeBatch) -> dict[SequenceId, RowResult]:
        try:
            with self._trace.span("decode", rows=len(batch.sequence_ids)):
                logits = self._decode_logits(plan, batch)
        except Exception:
            logger.exception("a decode run of %d rows failed", len(batch.sequence_ids))
            return dict.fromkeys(batch.sequence_ids, _engine_failed())
        with self._trace.span("sample", rows=len(batch.sequence_ids)):
            return {
                sequence_id: self._sample(sequence_id, row)
                for sequence_id, row in zip(batch.sequence_ids, logits, strict=True)
            }

    def _decode_logits(self, plan: StepPlan, batch: DecodeBatch) -> Logits:
        if self._lookahead is not None:
            if plan.is_lone_decode:
                sequence = self._scheduler.sequence(batch.sequence_ids[0])
                return self._lookahead.decode(sequence, self._slots.shape.tokens, self._chooser(sequence).forced)
            self._lookahead.forget()
        return self._runner.decode(batch.token_ids, batch.lengths)

    def _prefill(self, chunk: PrefillChunk) -> RowResult:
        try:
            if chunk.part.is_first:
                self._load(chunk)
            if not chunk.part.is_last:
                self._runner.prefill(chunk.row, chunk.token_ids, chunk.start, want_logits=False, part=chunk.part)
                return PartComputed()
            logits: Logits | None
            num_top = self._scheduler.sequence(chunk.sequence_id).params.num_prompt_logprobs
            if num_top is not None and not chunk.is_again:
                logits = self._prefill_with_logprobs(chunk, num_top)
            else:
                logits = self._runner.prefill(
                    chunk.row, chunk.token_ids, chunk.start, chunk.is_last, decoded=chunk.is_output, part=chunk.part
                )
        except Exception:
            logger.exception("a prefill run of %d tokens failed", len(chunk.token_ids))
            return _engine_failed()
        return self._sample(chunk.sequence_id, logits) if chunk.is_last and logits is not None else Computed()

    def _prefill_with_logprobs(self, chunk: PrefillChunk, num_top: int) -> Logits:
        """Compute a chunk and read its tokens' log-probabilities; the logits that stand after it."""
        prompt_ids = self._scheduler.sequence(chunk.sequence_id).prompt_ids
        gathered = self._prompt_logprobs.setdefault(chunk.sequence_id, PromptLogprobs(prompt_ids, num_top))
        for start in range(chunk.start, chunk.stop, ROWS_AT_ONCE):
            token_ids = prompt_ids[start : min(start + ROWS_AT_ONCE, chunk.stop)]
            logits = self._runner.prefill_with_logits(chunk.row, token_ids, start, part=chunk.part)
            gathered.add(logits, start)
        last: Logits = logits[-1]
        return last

    def _load(self, chunk: PrefillChunk) -> None:
        """Copy the known prefix into the row."""
        if isinstance(chunk.source, RowPrefix):
            block = self._runner.read_kv(chunk.source.row, 0, chunk.source.num_tokens)
            self._runner.write_kv(chunk.row, 0, block)
        elif chunk.source is not None:
            for start, block in chunk.source.blocks():
                self._runner.write_kv(chunk.row, start, block)
            if self._prefix is not None:
                self._prefix.touch(chunk.source)

    def _sample(self, sequence_id: SequenceId, logits: Logits) -> RowResult:
        try:
            sampled = self._chooser(self._scheduler.sequence(sequence_id)).choose(logits)
        except ApiError as error:
            return error
        except Exception:
            logger.exception("sampling for sequence %d failed", sequence_id)
            return _engine_failed()
        gathered = self._prompt_logprobs.pop(sequence_id, None)
        if gathered is None:
            return sampled
        return sampled._replace(token=sampled.token._replace(prompt_logprobs=gathered.all()))

    def _chooser(self, sequence: Sequence) -> Chooser:
        """Made at the first token: an error in making it ends this sequence alone."""
        if sequence.id not in self._choosers:
            sampler = self._make_sampler(sequence.params, sequence.prompt_ids, self._runner.info.vocab_size)
            self._choosers[sequence.id] = Chooser(sequence, sampler, self._make_constraint(sequence.params))
        return self._choosers[sequence.id]

    def _report(self, outcome: StepOutcome) -> StepOutcome:
        """Add what ended since the last step, count, and forget who is gone."""
        outcome = outcome._replace(ended=(*self._ended, *outcome.ended))
        self._ended.clear()
        for ended in outcome.ended:
            self._choosers.pop(ended.sequence_id, None)
            self._prompt_logprobs.pop(ended.sequence_id, None)
            if self._lookahead is not None:
                self._lookahead.end(ended.sequence_id)
        self._tally.count_outcome(outcome)
        return outcome


@contextlib.contextmanager
def _storing(sequence_id: SequenceId) -> Iterator[None]:
    """What cannot be stored is lost to later prompts, and harms nobody."""
    try:
        yield
    except Exception:
        logger.exception("the keys and values of sequence %d could not be stored", sequence_id)


def _engine_failed() -> EngineFailed:
    return EngineFailed("The engine failed while it computed this answer.")
