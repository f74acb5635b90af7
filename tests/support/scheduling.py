"""A scheduler without a model: plans are made, looked at, and committed with invented tokens."""

from support.fake_runner import BYTES_PER_TOKEN, closed_form

from obeaver.engine.decoding.admission import Admission
from obeaver.engine.decoding.chunk_budget import ChunkBudget
from obeaver.engine.decoding.kv_slots import KvSlots
from obeaver.engine.decoding.plan import Computed, PartComputed, RowResult, Sampled, StepOutcome, StepPlan
from obeaver.engine.decoding.prefix_cache import PrefixCache
from obeaver.engine.decoding.scheduler import Scheduler
from obeaver.engine.decoding.sequence import Sequence, SequenceId, Status
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams

TOKEN = 5
END = 9
CHUNKS = ChunkBudget(alone=256, base=56, per_row=8)


class Engine:
    """A scheduler, its parts, and a step that samples the same token for everybody."""

    def __init__(
        self,
        *,
        row_tokens: int = 32768,
        prefix_tokens: int = 1024,
        max_rows: int = 8,
        can_copy: bool = True,
        match_outputs: bool = True,
        chunks: ChunkBudget = CHUNKS,
        most_parts: int = 1,
    ) -> None:
        self.admission = Admission(2048, BYTES_PER_TOKEN, max_rows, row_tokens * BYTES_PER_TOKEN)
        self.slots = KvSlots(self.admission.smallest)
        self.cache = PrefixCache(prefix_tokens * BYTES_PER_TOKEN, BYTES_PER_TOKEN)
        prefix = self.cache if can_copy else None
        self.scheduler = Scheduler(
            self.admission, chunks, self.slots, prefix, match_outputs=match_outputs, most_parts=most_parts
        )
        self.num_added = 0

    def add(self, prompt: int | tuple[int, ...], max_tokens: int = 50) -> Sequence:
        """A number makes a prompt of that length that shares nothing with any other."""
        self.num_added += 1
        ids = (
            tuple(range(self.num_added * 10_000, self.num_added * 10_000 + prompt))
            if isinstance(prompt, int)
            else prompt
        )
        params = SamplingParams(max_tokens=max_tokens, stop_token_ids=frozenset({END}))
        sequence = Sequence(self.num_added, ids, params)
        self.scheduler.add(sequence)
        return sequence

    def remember(self, token_ids: tuple[int, ...]) -> None:
        self.cache.insert(token_ids, lambda start, stop: closed_form(token_ids, 0)[:, :, :, start:stop].copy())

    def commit(self, plan: StepPlan, changed: dict[SequenceId, RowResult] | None = None) -> StepOutcome:
        results: dict[SequenceId, RowResult] = {}
        for sequence_id in plan.decode.sequence_ids if plan.decode else ():
            results[sequence_id] = Sampled(SampledToken(TOKEN))
        for chunk in plan.prefills:
            computed = Sampled(SampledToken(TOKEN)) if chunk.is_last else Computed()
            results[chunk.sequence_id] = computed if chunk.part.is_last else PartComputed()
        return self.scheduler.commit(plan, results | (changed or {}))

    def step(self, changed: dict[SequenceId, RowResult] | None = None) -> StepPlan:
        for sequence in self.scheduler.ended_rows():
            self.scheduler.release(sequence)
        plan = self.scheduler.plan()
        self.commit(plan, changed)
        assert self.scheduler.invariants() == []
        return plan

    def decoding(self, number: int) -> list[Sequence]:
        """So many sequences that decode."""
        sequences = [self.add(3) for _ in range(number)]
        self.step()
        assert all(sequence.status is Status.DECODE for sequence in sequences)
        return sequences


def chunk_sizes(plan: StepPlan) -> list[int]:
    """Tokens of each chunk."""
    return [len(chunk.token_ids) for chunk in plan.prefills]


def started(plan: StepPlan) -> list[SequenceId]:
    """Whose chunks they are."""
    return [chunk.sequence_id for chunk in plan.prefills]
