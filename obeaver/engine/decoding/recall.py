"""Beginnings of prompts that the disk has and memory lacks: read before the sequence starts, one after the other.

A sequence near the head of the line is looked at once. If the disk knows more of its prompt than memory by a block or
more, it is held until that was read; each part goes to the prefix cache when it comes, where the sequence finds it as
if it had never been away. Only a few of the line are read for ahead of their turn, since what is read early may have
left memory again when the turn comes.

    line of the scheduler ── look ──> held ── one at a time ──> disk ── parts ──> prefix cache ──> let go
"""

import logging
from collections.abc import Callable
from typing import Final

from obeaver.engine.decoding.prefix_cache import PrefixCache
from obeaver.engine.decoding.scheduler import Scheduler
from obeaver.engine.decoding.sequence import Sequence, SequenceId
from obeaver.engine.prefix_disk.block_files import BLOCK_TOKENS
from obeaver.engine.prefix_disk.prefix_disk import Part, PrefixDisk, ReadEnded, ReadRequest

logger = logging.getLogger(__name__)

_AHEAD: Final = 4
"""Sequences of the line that are looked at."""


class Recall:
    """Belongs to the engine thread.

    Args:
        scheduler: Whose line it is.
        prefix: Where parts go.
        disk: Where they come from.
        deliver: Brings what the disk's threads say to this one, and thus to `receive` and `end`.
    """

    def __init__(
        self, scheduler: Scheduler, prefix: PrefixCache, disk: PrefixDisk, deliver: Callable[[Part | ReadEnded], None]
    ) -> None:
        self._scheduler = scheduler
        self._prefix = prefix
        self._disk = disk
        self._deliver = deliver
        self._looked_at: set[SequenceId] = set()
        self._held: dict[SequenceId, Sequence] = {}
        self._reading: SequenceId | None = None

    def look(self) -> None:
        """Hold those who gain by it, and see that the first of them is being read for. At a step's edge."""
        front = self._scheduler.first_in_line(_AHEAD)
        for sequence in front:
            if sequence.id not in self._looked_at and self._gain(sequence):
                self._held[sequence.id] = sequence
                self._scheduler.hold(sequence.id)
        self._looked_at = {sequence.id for sequence in front}
        self._read_next()

    def receive(self, part: Part) -> None:
        """Take what was read, unless what lies before it has left memory meanwhile."""
        if self._prefix.match(part.token_ids).num_tokens >= part.start:
            try:
                self._prefix.insert(part.token_ids, part.places)
            except Exception:
                logger.exception("keys and values that were read for sequence %d could not be kept", part.sequence_id)

    def end(self, sequence_id: SequenceId) -> None:
        """Nothing more will be read for a sequence; a second end changes nothing."""
        if sequence_id == self._reading:
            self._reading = None
            self._let_go(sequence_id)
            self._read_next()

    def _read_next(self) -> None:
        while self._reading is None and self._held:
            sequence = next(iter(self._held.values()))
            # Another's read may have brought it, and it may be gone.
            wanted = self._gain(sequence) if sequence.id in self._looked_at else ()
            if not wanted:
                self._let_go(sequence.id)
                continue
            self._reading = sequence.id
            start = self._prefix.match(wanted).num_tokens
            self._disk.read(ReadRequest(sequence.id, wanted, start), self._deliver)

    def _let_go(self, sequence_id: SequenceId) -> None:
        self._held.pop(sequence_id, None)
        self._scheduler.let_go(sequence_id)

    def _gain(self, sequence: Sequence) -> tuple[int, ...]:
        """The beginning that the disk has, if that is a block more than what is known; else nothing."""
        if sequence.params.num_prompt_logprobs is not None:
            return ()
        wanted = self._scheduler.wanted(sequence)[: self._prefix.max_tokens]
        num_stored = self._disk.num_known(wanted)
        num_gained = num_stored - self._scheduler.num_known(sequence)
        return wanted[:num_stored] if num_gained >= BLOCK_TOKENS else ()
