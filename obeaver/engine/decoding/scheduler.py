"""Which sequence gets what of a step. Pure: no model, no clock, no thread; planning changes nothing.

Theory. A step is one decode run over all decoding rows, then prefill chunks. Decoding is cheap for each stream and must
come regularly, prefilling is work that can be cut anywhere at no loss of exactness. So every decoding sequence is in
every step, and prompts share what is left: a budget of tokens for each step (`chunk_budget`), small while streams run,
so that no stream waits longer than a chunk takes. Rows that change their places take of it too. Where the runner can
(`most_parts`), a chunk of a long prompt is as long as several budgets, and takes so many steps, some layers in each.

The rules:

1. *All decodes, always.* No prompt delays a running stream by more than one budget. Far back even the shortest chunk
   costs more: then steps without prompts follow, until that is made up for.
2. *First come, first served.* Sequences start in the order in which they came, but for rule 3. One that does not fit
   now holds the line until enough others have left, so small ones cannot starve a big one; one that can never fit was
   refused when it came, so the line always moves on. Who is passed is counted as if it ran, so nobody takes the memory
   that it waits for.
3. *One prompt after the other, but nobody waits long for a long one.* The oldest prompt takes the budget; what it
   leaves goes to the next once it is done. Several short prompts share a step. Beside a prompt that takes several
   steps, those with at most half as much to compute as it has left get every second step, one after the other: who
   passes takes twice as long as alone, and so does who is passed, at most. So no more than two prompts are half done
   between two steps. A run costs `MIN_START`, however few tokens a prefix hit has left to compute, and a scrap of
   budget does not start a long prompt.
4. *Nothing is computed twice.* A prompt starts from its longest prefix that the prefix cache or a running row holds. If
   a prompt in this very plan is about to compute `MIN_GAIN` tokens more of it than that, it waits one step for them:
   that prompt is in the plan, so it advances or ends, and nobody ever waits for somebody who waits. The last token of a
   prompt is always computed, for its logits.
5. *Nobody computes for a client that does not read.* A sequence that is paused gives its row up at the step's edge, and
   what it has computed goes to the prefix cache. When it goes on, it waits at its old place in the line and begins as a
   prompt does, with its output behind its prompt. That is done only where decoding leaves what prefilling would, since
   its tokens would else depend on the pause.
6. *Nobody waits for a disk but who gains by it.* A sequence whose beginning is being read is held: those behind it may
   start before it, and it keeps its place.
7. *Reservation.* Who starts is charged its worst case, so nobody who runs can ever lack memory (`admission`).

    queue of waiting      Scheduler                          add, abort, commit
    rows                  KvSlots, told by the scheduler     commit, release
    status, num_computed  Sequence, told by the scheduler    commit, abort
    keys and values       the runner, told by EngineCore     execution of the plan
"""

import itertools
from collections import abc, deque

from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.kv_slots import KvSlots
from obeaver.engine.decoding.plan import (
    Advanced,
    DecodeBatch,
    Ended,
    PartComputed,
    PrefillChunk,
    PrefixSource,
    RowPrefix,
    RowResult,
    Sampled,
    StepOutcome,
    StepPlan,
)
from obeaver.engine.decoding.prefix_cache import PrefixCache, PrefixMatch, common_prefix
from obeaver.engine.decoding.prompt_draft import PromptDraft, num_left
from obeaver.engine.decoding.sequence import Finished, FinishReason, Sequence, SequenceId, Status
from obeaver.engine.runners.runner import KvShape
from obeaver.errors import ApiError

MIN_PREFIX = 16
"""Shorter prefixes are computed: copying means two calls per layer."""

MIN_GAIN = 32
"""Tokens that must be saved for a prompt to wait a step."""

SHORT = 2
"""A prompt passes one that has this many times as much left to compute."""

MOST_PASSED = 4
"""Prompts in the line that shorter ones may pass: the others are not looked at in each step."""


class Scheduler:
    """Queues and the policy over them.

    Args:
        admission: The limits.
        chunks: The prefill budget of a step.
        slots: The rows; the scheduler is their only writer.
        prefix: Where known prefixes are looked up; None when keys and values cannot be copied.
        match_outputs: Whether keys and values that decoding computed may serve other prompts.
        most_parts: In how many parts a chunk can be computed.
    """

    def __init__(
        self,
        admission: Admission,
        chunks: ChunkBudget,
        slots: KvSlots,
        prefix: PrefixCache | None,
        *,
        match_outputs: bool = True,
        most_parts: int = 1,
    ) -> None:
        self._admission = admission
        self._chunks = chunks
        self._slots = slots
        self._prefix = prefix
        self._match_outputs = match_outputs
        self._most_parts = most_parts
        self._unfinished: PrefillChunk | None = None
        self._waiting: deque[Sequence] = deque()
        self._by_id: dict[SequenceId, Sequence] = {}
        self._paused: set[SequenceId] = set()
        self._held: set[SequenceId] = set()
        self._gave_way: SequenceId | None = None
        self._overspent = 0
        self._withheld = 0

    @property
    def num_waiting(self) -> int:
        """Sequences that have not begun, or go on after a pause."""
        return len(self._waiting)

    @property
    def can_start(self) -> bool:
        """Whether somebody waits for a row and for nothing else."""
        return len(self._waiting) > len(self._held)

    @property
    def num_paused(self) -> int:
        """Sequences that were set aside."""
        return len(self._by_id) - len(self._waiting) - self.num_running

    @property
    def num_running(self) -> int:
        """Sequences in prefill or decode."""
        return len(self.running())

    def running(self) -> list[Sequence]:
        """Sequences in prefill or decode, in the order of their rows."""
        return [sequence for sequence in self._slots.owners() if sequence.status is not Status.FINISHED]

    def sequence(self, sequence_id: SequenceId) -> Sequence:
        """A sequence that has not ended."""
        return self._by_id[sequence_id]

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the line.

        Raises:
            ContextLengthExceeded: It can never fit.
        """
        self._admission.check(sequence.num_prompt, sequence.params.max_tokens)
        self._by_id[sequence.id] = sequence
        self._waiting.append(sequence)

    def abort(self, sequence_id: SequenceId) -> Ended | None:
        """End a sequence wherever it stands; None if it is not there any more. Its row is free at the step's edge."""
        sequence = self._by_id.get(sequence_id)
        return None if sequence is None else self._end(sequence, FinishReason.ABORTED)

    def pause(self, sequence_id: SequenceId) -> None:
        """Let a sequence give its row up at the next edge; one that still computes its prompt, when that is done."""
        if sequence_id in self._by_id:
            self._paused.add(sequence_id)
            self._held.discard(sequence_id)
            self._line_up()

    def resume(self, sequence_id: SequenceId) -> None:
        """Let a sequence go on that was paused; the others are not touched."""
        self._paused.discard(sequence_id)
        self._line_up()

    def first_in_line(self, count: int) -> list[Sequence]:
        """Those who wait, in order; `count` of them at most."""
        return list(itertools.islice(self._waiting, count))

    def hold(self, sequence_id: SequenceId) -> None:
        """Start a waiting sequence only after `let_go`."""
        self._held.add(sequence_id)

    def let_go(self, sequence_id: SequenceId) -> None:
        """A sequence may start; one that is not held, or gone, is passed over."""
        self._held.discard(sequence_id)

    def wanted(self, sequence: Sequence) -> tuple[int, ...]:
        """The tokens whose keys and values may come from elsewhere."""
        end = len(sequence.fill_ids) if self._match_outputs else sequence.num_prompt
        return sequence.fill_ids[: min(end, len(sequence.fill_ids) - 1)]

    def num_known(self, sequence: Sequence) -> int:
        """Tokens at the beginning of a waiting sequence that need no computing."""
        source = self._known_prefix(sequence, self._slots.owners())
        return 0 if source is None else source.num_tokens

    def to_set_aside(self) -> list[Sequence]:
        """Paused sequences that own a row and have something to go on from."""
        decoding = self._slots.with_status(Status.DECODE)
        return [sequence for sequence in decoding if sequence.id in self._paused]

    def set_aside(self, sequence: Sequence) -> int:
        """A paused sequence gives its row back; which it was."""
        sequence.set_aside()
        return self._slots.free(sequence)

    def fail_running(self, error: ApiError) -> tuple[Ended, ...]:
        """End every sequence that has begun with this error; the waiting ones are not touched."""
        running = [s for s in self._by_id.values() if s.status is not Status.WAITING]
        return tuple(self._fail(sequence, error) for sequence in running)

    def ended_rows(self) -> list[Sequence]:
        """Ended sequences that still own a row."""
        return self._slots.with_status(Status.FINISHED)

    def storable(self, sequence: Sequence) -> tuple[int, ...]:
        """The tokens whose keys and values in the sequence's row may serve other prompts."""
        if sequence.finish_reason is FinishReason.FAILED:
            return ()
        stop = sequence.num_computed if self._match_outputs else min(sequence.num_computed, sequence.num_prompt)
        return (sequence.prompt_ids + tuple(sequence.output_ids))[:stop]

    def plan(self) -> StepPlan:
        """The next step. Rows of ended sequences must have been released."""
        moves = self._slots.compaction()
        layout = self._slots.layout_after(moves)
        decoding = [sequence for sequence in layout if sequence.status is Status.DECODE]
        held = tuple(sequence.num_held for sequence in layout)
        spent = self._overspent + self._chunks.cost_of_moves(moves) if decoding else self._withheld
        draft = PromptDraft(layout, self._chunks, len(decoding), spent, self._most_parts)
        begun = self._unfinished
        rows = [row for row, sequence in enumerate(layout) if begun is not None and sequence.id == begun.sequence_id]
        if begun is not None and rows:
            draft.next_part(begun, rows[0])
        else:
            self._compute_prompts(draft)
        shape, decode = self._new_shape(draft.layout), _decode_batch(decoding)
        return StepPlan(moves, shape, held, decode, tuple(draft.chunks), draft.spent)

    def commit(self, plan: StepPlan, results: abc.Mapping[SequenceId, RowResult]) -> StepOutcome:
        """Make what was executed true: the plan's moves and shape, and each sequence's result."""
        self._slots.apply(plan.moves, plan.shape)
        advanced: list[Advanced] = []
        ended: list[Ended] = []
        for sequence_id in plan.decode.sequence_ids if plan.decode else ():
            self._settle(self._by_id[sequence_id], results[sequence_id], 1, advanced, ended)
        self._unfinished = None
        for chunk in plan.prefills:
            sequence = self._by_id[chunk.sequence_id]
            if sequence.status is Status.WAITING:
                self._begin(sequence, chunk)
            if isinstance(results[chunk.sequence_id], PartComputed):
                sequence.num_unfinished = len(chunk.token_ids)
                self._unfinished = chunk
                continue
            sequence.num_unfinished = 0
            self._settle(sequence, results[chunk.sequence_id], len(chunk.token_ids), advanced, ended)
        self._take_stock(plan)
        return StepOutcome(tuple(advanced), tuple(ended))

    def release(self, sequence: Sequence) -> int:
        """An ended sequence gives its row back; which it was."""
        return self._slots.free(sequence)

    def invariants(self) -> list[str]:
        """Violations of what this module promises, in words; an empty list is health."""
        found = self._slots.invariants()
        running = [s for s in self._by_id.values() if s.status is not Status.WAITING]
        if not self._paused <= self._by_id.keys():
            found.append("a sequence that is gone is paused")
        if not self._held <= {s.id for s in self._waiting}:
            found.append("a sequence that does not wait is held")
        if sum(s.status is Status.PREFILL for s in running) > 2:
            found.append("more than two prompts are half done")
        if not self._admission.fits(self._admission.reserved(s.max_num_tokens for s in running)):
            found.append("running sequences may need more than the budget")
        if [s.id for s in self._in_line()] != [s.id for s in self._waiting]:
            found.append("the line of waiting sequences is out of order")
        return found + [f"sequence {s.id} runs without a row" for s in running if s.row is None]

    def _take_stock(self, plan: StepPlan) -> None:
        """Note what the prompts of a step leave to the next ones: a budget, and whose turn it is."""
        num_decoding = len(plan.decode.sequence_ids) if plan.decode else 0
        beside = self._chunks.beside(num_decoding)
        self._overspent = max(0, plan.spent - beside) if num_decoding else 0
        # Who asked for a stream that has ended often asks for the next one: a long prompt takes all only by and by.
        if num_decoding:
            self._withheld = self._chunks.alone - beside if self._slots.with_status(Status.PREFILL) else 0
        else:
            self._withheld = max(0, 2 * self._withheld - self._chunks.alone)
        if plan.prefills:
            half_done = _longest_first(self._slots.with_status(Status.PREFILL))
            is_passed = bool(half_done) and plan.prefills[0].sequence_id != half_done[0].id
            self._gave_way = half_done[0].id if is_passed else None

    def _compute_prompts(self, draft: PromptDraft) -> None:
        half_done = _longest_first(sequence for sequence in draft.layout if sequence.status is Status.PREFILL)
        if half_done and half_done[0].id != self._gave_way and not draft.completes(half_done[0]):
            long, *short = half_done
            for sequence in short:
                draft.go_on(sequence)
            self._start_prompts(draft, beside=long)
            draft.go_on(long)
            return
        for sequence in half_done:
            draft.go_on(sequence)
        self._start_prompts(draft)

    def _start_prompts(self, draft: PromptDraft, beside: Sequence | None = None) -> None:
        """Start those who wait, in order; those that are short beside another, where that stays half done."""
        passed: list[Sequence] = []
        for sequence in self._waiting:
            if sequence.id in self._held:
                continue
            is_over = draft.budget <= 0 or len(passed) > MOST_PASSED
            if is_over or not self._fits_beside(sequence, [*draft.layout, *passed]):
                return
            source = self._known_prefix(sequence, draft.layout)
            start = 0 if source is None else source.num_tokens
            if beside is not None and not self._may_pass(sequence, start, beside):
                passed.append(sequence)
                continue
            if not draft.is_worth_starting(len(sequence.fill_ids) - start, start):
                return
            if self._gains(sequence, start, (self._by_id[c.sequence_id].fill_ids[: c.stop] for c in draft.chunks)):
                return
            draft.layout.append(sequence)
            draft.compute(sequence, len(draft.layout) - 1, start, source)

    def _may_pass(self, sequence: Sequence, start: int, other: Sequence) -> bool:
        """Whether a sequence has little to compute beside another, and nothing that the other is about to compute."""
        is_short = SHORT * (len(sequence.fill_ids) - start) <= num_left(other)
        return is_short and not self._gains(sequence, start, [other.fill_ids])

    def _fits_beside(self, sequence: Sequence, others: list[Sequence]) -> bool:
        return self._admission.fits(self._admission.reserved(s.max_num_tokens for s in (*others, sequence)))

    def _known_prefix(self, sequence: Sequence, layout: list[Sequence]) -> PrefixSource | None:
        """The longest prefix that can be copied; the last prompt token is never part of it."""
        if self._prefix is None or sequence.params.num_prompt_logprobs is not None:
            return None
        wanted = self.wanted(sequence)
        stored = self._prefix.match(wanted)
        lengths = [common_prefix(self.storable(other), wanted) for other in layout]
        longest = max(lengths, default=0)
        best: PrefixMatch | RowPrefix = stored
        if longest > stored.num_tokens:
            best = RowPrefix(lengths.index(longest), longest)
        return best if best.num_tokens >= MIN_PREFIX else None

    def _gains(self, sequence: Sequence, known: int, coming: abc.Iterable[tuple[int, ...]]) -> bool:
        """Whether waiting until these are computed would save the sequence enough."""
        if self._prefix is None or sequence.params.num_prompt_logprobs is not None:
            return False
        wanted = self.wanted(sequence)
        return max((common_prefix(ids, wanted) for ids in coming), default=0) - known >= MIN_GAIN

    def _new_shape(self, layout: list[Sequence]) -> KvShape | None:
        needed = KvShape(len(layout), max((s.num_tokens for s in layout), default=0))
        reserved = self._admission.reserved(s.max_num_tokens for s in layout)
        shape = self._admission.next_shape(self._slots.shape, needed, reserved)
        return None if shape == self._slots.shape else shape

    def _begin(self, sequence: Sequence, chunk: PrefillChunk) -> None:
        self._waiting.remove(sequence)
        self._slots.assign(sequence, chunk.row)
        sequence.move_to(Status.PREFILL)
        sequence.num_computed = chunk.start
        if not chunk.is_again:
            sequence.num_cached = chunk.start

    def _settle(
        self, sequence: Sequence, result: RowResult, num_tokens: int, advanced: list[Advanced], ended: list[Ended]
    ) -> None:
        if isinstance(result, ApiError):
            ended.append(self._fail(sequence, result))
            return
        sequence.num_computed += num_tokens
        if isinstance(result, Sampled):
            advanced.append(Advanced(sequence.id, result.token))
            reason = self._accept(sequence, result)
            if reason is not None:
                ended.append(self._end(sequence, reason))

    @staticmethod
    def _accept(sequence: Sequence, sampled: Sampled) -> FinishReason | None:
        """Append a token; why the sequence is over, if it is."""
        token = sampled.token
        if sequence.status is Status.PREFILL:
            sequence.move_to(Status.DECODE)
        sequence.output_ids.append(token.token_id)
        if sampled.ends or token.token_id in sequence.params.stop_token_ids:
            return FinishReason.STOP
        is_full = len(sequence.output_ids) >= sequence.params.max_tokens
        return FinishReason.LENGTH if is_full or sampled.is_stuck else None

    def _in_line(self) -> list[Sequence]:
        """Those who wait, in the order in which they came."""
        return [s for s in self._by_id.values() if s.status is Status.WAITING and s.id not in self._paused]

    def _line_up(self) -> None:
        self._waiting = deque(self._in_line())

    def _end(self, sequence: Sequence, reason: FinishReason) -> Ended:
        if sequence.status is Status.WAITING and sequence.id not in self._paused:
            self._waiting.remove(sequence)
        sequence.finish(reason)
        del self._by_id[sequence.id]
        self._paused.discard(sequence.id)
        self._held.discard(sequence.id)
        finished = Finished(reason, sequence.num_prompt, sequence.num_cached, len(sequence.output_ids))
        return Ended(sequence.id, finished)

    def _fail(self, sequence: Sequence, error: ApiError) -> Ended:
        return self._end(sequence, FinishReason.FAILED)._replace(result=error)


def _longest_first(half_done: abc.Iterable[Sequence]) -> list[Sequence]:
    """Those with most left to compute before the others."""
    return sorted(half_done, key=num_left, reverse=True)


def _decode_batch(decoding: list[Sequence]) -> DecodeBatch | None:
    if not decoding:
        return None
    return DecodeBatch(
        sequence_ids=tuple(s.id for s in decoding),
        token_ids=tuple(s.output_ids[-1] for s in decoding),
        lengths=tuple(s.num_computed for s in decoding),
    )
