"""How an engine stands at this moment: its last word, beside the streams that are open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from obeaver.engine.decoding.sequence import SequenceId
from obeaver.engine.decoding.stats import EngineTotals, RunningSequence
from obeaver.engine.prefix_disk.prefix_disk import DiskStats
from obeaver.engine.sessions.placement import Placement


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """What `/health` and `/metrics` read: how the engine stood after its last step, and the streams open now.

    Attributes:
        healthy: Whether the engine computes; false once it died, whatever it still holds.
        label: What runs the model, for people.
        placement: Which execution provider computes, and how much of the model.
        num_running: Sequences in prefill or decode.
        num_waiting: Sequences that have not begun.
        num_paused: Sequences whose clients do not read: they have no row.
        max_rows: Most sequences that run together.
        kv_budget_bytes: Bytes that keys and values may take, rows and prefix cache.
        kv_used_bytes: Bytes of the row buffers.
        prefix_budget_bytes: Bytes of these that the prefix cache may take.
        prefix_cache_bytes: Bytes of keys and values in the prefix cache.
        prefix_cache_entries: Pieces of prompts that it holds.
        disk: How the prefix cache's part on the disk stands.
        totals: Counters since the start.
    """

    healthy: bool
    label: str
    placement: Placement = field(default_factory=Placement)
    num_running: int = 0
    num_waiting: int = 0
    num_paused: int = 0
    max_rows: int = 0
    kv_budget_bytes: int = 0
    kv_used_bytes: int = 0
    prefix_budget_bytes: int = 0
    prefix_cache_bytes: int = 0
    prefix_cache_entries: int = 0
    disk: DiskStats = field(default_factory=DiskStats)
    totals: EngineTotals = field(default_factory=EngineTotals)


class OpenStream(Protocol):
    """What the event loop knows of a sequence that it has submitted."""

    @property
    def num_prompt(self) -> int:
        """Tokens of its prompt."""

    @property
    def opened_at(self) -> float:
        """When it was submitted, in the seconds of the loop's clock."""


class LiveSequence(NamedTuple):
    """A sequence that is being computed, and how long ago it was submitted."""

    progress: RunningSequence
    age_s: float


class LiveSequences(NamedTuple):
    """All open streams of an engine.

    Attributes:
        running: Those that are being computed, oldest first.
        num_waiting: How many wait for a place.
        waiting_tokens: Tokens of their prompts.
    """

    running: tuple[LiveSequence, ...]
    num_waiting: int
    waiting_tokens: int


def live_sequences(
    running: Iterable[RunningSequence], streams: Mapping[SequenceId, OpenStream], now_s: float
) -> LiveSequences:
    """Join what the engine said last with what is open now.

    Args:
        running: As the engine's last step left them; those whose stream is gone are passed over.
        streams: The open ones.
        now_s: By the clock of `opened_at`.
    """
    begun = {sequence.id: sequence for sequence in running if sequence.id in streams}
    waiting = [stream.num_prompt for sequence_id, stream in streams.items() if sequence_id not in begun]
    rows = (LiveSequence(begun[key], now_s - streams[key].opened_at) for key in sorted(begun))
    return LiveSequences(tuple(rows), len(waiting), sum(waiting))
