"""Who sits in which row of the shared key-value buffers, and which moves keep the rows compact.

Theory. A decode run advances rows 0 to n-1 in one call on one contiguous block, so the decoding sequences must stand in
exactly these rows. Sequences leave at any time and from any row. Filling each hole with the highest decoding row costs
one copy for a leave, whatever the number of rows; shifting everybody down would cost n of them.

A prefill runs alone in its row and needs no neighbours, but buffers are paid by the row, so it stands right behind the
decoding ones. Most prompts are computed one after the other, in order: those that were finished stand below the one
that is under way. Hence the order *decoding rows below prefilling rows* mostly holds by itself when a prompt is done,
and the newcomer is in its decoding row without a copy. Where a short prompt has passed a long one, the two change rows:
one copy of what the long one has, which is less than its next chunk reads.

A row is contiguous, so a prefix hit copies its range into the row. It could not share it: row b's tokens must lie at
b x capacity. Copying 1,000 tokens takes a few milliseconds, computing them a second.

    state                        owner                      changed by
    row -> sequence              KvSlots                    assign, free, apply
    sequence.row                 KvSlots                    the same calls, never alone
    sequence.num_computed        Scheduler                  commit
    shape of the buffers         KvSlots (what was asked)   apply; the runner holds the memory
    contents of a row            the runner                 execution of a plan, by EngineCore alone

A row is *free* when nobody owns it. A finished sequence owns its row until its keys and values were stored, at the edge
of the next step. `compaction` only says what to do; `apply` is called once it is done.
"""

from collections.abc import Iterable, Mapping

from obeaver.engine.decoding.plan import Move
from obeaver.engine.decoding.sequence import Sequence, Status
from obeaver.engine.runners.runner import KvShape


class KvSlots:
    """The rows of one engine's buffers.

    Args:
        shape: What the runner was asked for.
    """

    def __init__(self, shape: KvShape) -> None:
        self._shape = shape
        self._owners: dict[int, Sequence] = {}

    @property
    def shape(self) -> KvShape:
        """Rows and places of the buffers."""
        return self._shape

    def owners(self) -> list[Sequence]:
        """Who has a row, in order of rows."""
        return [self._owners[row] for row in sorted(self._owners)]

    def with_status(self, status: Status) -> list[Sequence]:
        """Those of the owners who stand there, in order of rows."""
        return [self._owners[row] for row in _rows_with(status, self._owners)]

    def assign(self, sequence: Sequence, row: int) -> None:
        """Give a free row to a sequence that has none."""
        if row in self._owners or sequence.row is not None:
            raise ValueError(f"row {row} is taken, or sequence {sequence.id} has one")
        self._owners[row] = sequence
        sequence.row = row

    def free(self, sequence: Sequence) -> int:
        """Take a sequence's row; which it was."""
        row = sequence.row
        if row is None or self._owners.get(row) is not sequence:
            raise ValueError(f"sequence {sequence.id} owns no row")
        del self._owners[row]
        sequence.row = None
        return row

    def compaction(self) -> tuple[Move, ...]:
        """Moves after which decoding sequences hold rows 0 to n-1 and prefilling ones the rows that follow.

        Each target is free when its turn comes, or changes with its source. Finished sequences must have left their
        rows.
        """
        owners = dict(self._owners)
        moves: list[Move] = []

        def move(source: int, target: int) -> None:
            moves.append(Move(source, target, owners[source].num_held, _num_held(owners.get(target))))
            _change(owners, source, target)

        decoding, prefilling = (_rows_with(status, owners) for status in (Status.DECODE, Status.PREFILL))
        end = len(decoding) + len(prefilling)
        in_the_way = [row for row in prefilling if row < len(decoding)]
        free = [row for row in range(len(decoding), end) if row not in owners]
        for source, target in zip(in_the_way, free, strict=False):
            move(source, target)
        wanting = [row for row in range(len(decoding)) if row not in decoding]
        for target, source in zip(wanting, reversed(decoding), strict=False):
            move(source, target)
        for target, source in enumerate(_rows_with(Status.PREFILL, owners), start=len(decoding)):
            if source != target:
                move(source, target)
        return tuple(moves)

    def layout_after(self, moves: Iterable[Move]) -> list[Sequence]:
        """The owners in order of rows once these moves are done; the index is the row when they are compact."""
        owners = dict(self._owners)
        for move in moves:
            _change(owners, move.source, move.target)
        return [owners[row] for row in sorted(owners)]

    def apply(self, moves: Iterable[Move], shape: KvShape | None) -> None:
        """The moves were made, and the buffers given this shape."""
        for move in moves:
            _change(self._owners, move.source, move.target)
        for row, sequence in self._owners.items():
            sequence.row = row
        if shape is not None:
            self._shape = shape

    def invariants(self) -> list[str]:
        """Violations of what this module promises, in words; an empty list is health."""
        found = [f"row {row} and sequence {s.id} disagree" for row, s in self._owners.items() if s.row != row]
        found += [f"row {row} is outside {self._shape}" for row in self._owners if not 0 <= row < self._shape.rows]
        for sequence in self._owners.values():
            if sequence.status is Status.WAITING:
                found.append(f"sequence {sequence.id} waits and has a row")
            if sequence.num_held > self._shape.tokens:
                found.append(f"sequence {sequence.id} holds {sequence.num_held} tokens of {self._shape.tokens}")
        return found


def _rows_with(status: Status, owners: Mapping[int, Sequence]) -> list[int]:
    return [row for row in sorted(owners) if owners[row].status is status]


def _num_held(owner: Sequence | None) -> int:
    return 0 if owner is None else owner.num_held


def _change(owners: dict[int, Sequence], source: int, target: int) -> None:
    """Who stands in `source` goes to `target`; who stands there, if anybody, comes back."""
    there = owners.pop(target, None)
    owners[target] = owners.pop(source)
    if there is not None:
        owners[source] = there
