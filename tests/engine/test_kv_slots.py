import itertools

import pytest

from obeaver.engine.decoding.kv_slots import KvSlots
from obeaver.engine.decoding.plan import Move
from obeaver.engine.decoding.sequence import FinishReason, Sequence, Status
from obeaver.engine.runners.runner import KvShape
from obeaver.engine.sampling.sampling_params import SamplingParams


def sequence(number: int, status: Status, num_computed: int = 5) -> Sequence:
    made = Sequence(number, (1, 2, 3), SamplingParams(max_tokens=10), num_computed=num_computed)
    for step in (Status.PREFILL, Status.DECODE):
        if status in {Status.PREFILL, Status.DECODE} and made.status is not status:
            made.move_to(step)
    if status is Status.FINISHED:
        made.finish(FinishReason.ABORTED)
    return made


def slots_with(*rows: Status | None) -> KvSlots:
    slots = KvSlots(KvShape(8, 128))
    for row, status in enumerate(rows):
        if status is not None:
            slots.assign(sequence(row, status), row)
    return slots


D, P, HOLE = Status.DECODE, Status.PREFILL, None


def layout_ids(slots: KvSlots) -> list[int]:
    return [owner.id for owner in slots.layout_after(slots.compaction())]


def rows_by_id(slots: KvSlots) -> dict[int, int]:
    return {owner.id: owner.row for owner in slots.owners() if owner.row is not None}


def test_compact_rows_need_no_moves() -> None:
    assert slots_with(D, D, P).compaction() == ()


def test_a_hole_is_filled_by_the_highest_decoding_row_in_one_copy() -> None:
    slots = slots_with(HOLE, D, D, D)
    assert slots.compaction() == (Move(3, 0, 5),)
    assert layout_ids(slots) == [3, 1, 2]


def test_a_hole_at_the_end_costs_nothing() -> None:
    assert slots_with(D, D, HOLE).compaction() == ()


def test_several_holes_are_filled_from_the_end() -> None:
    slots = slots_with(HOLE, D, HOLE, D, D)
    assert slots.compaction() == (Move(4, 0, 5), Move(3, 2, 5))
    assert layout_ids(slots) == [4, 1, 3]


def test_the_prefilling_row_follows_the_decoding_ones() -> None:
    slots = slots_with(HOLE, D, D, P)
    assert slots.compaction() == (Move(2, 0, 5), Move(3, 2, 5))
    assert layout_ids(slots) == [2, 1, 3]


def test_a_prompt_that_passed_another_changes_rows_with_it_once_it_decodes() -> None:
    slots = slots_with(D, P, D)
    assert slots.compaction() == (Move(2, 1, 5, 5),)
    assert layout_ids(slots) == [0, 2, 1]


def test_a_prompt_in_the_way_of_a_decoding_row_is_moved_once() -> None:
    slots = slots_with(P, HOLE, D)
    assert slots.compaction() == (Move(0, 1, 5), Move(2, 0, 5))
    assert layout_ids(slots) == [2, 0]


@pytest.mark.parametrize("rows", list(itertools.product([D, P, HOLE], repeat=5)))
def test_rows_end_up_compact_decoding_ones_first_and_nobody_is_lost(rows: tuple[Status | None, ...]) -> None:
    slots = slots_with(*rows)
    held = {row: number for number, row in rows_by_id(slots).items()}
    moves = slots.compaction()
    for move in moves:
        there = held.pop(move.target, None)
        assert (there is not None) is bool(move.num_back)
        held[move.target] = held.pop(move.source)
        if there is not None:
            held[move.source] = there
    slots.apply(moves, None)
    assert rows_by_id(slots) == {number: row for row, number in held.items()}
    assert sorted(held) == list(range(len(held)))
    statuses = [owner.status for owner in slots.owners()]
    assert statuses == sorted(statuses, key=[D, P].index)
    assert slots.invariants() == []


def test_planning_moves_changes_nothing_and_applying_them_makes_them_true() -> None:
    slots = slots_with(HOLE, D, P)
    moves = slots.compaction()
    assert moves == slots.compaction()
    slots.apply(moves, KvShape(2, 256))
    assert [(owner.id, owner.row) for owner in slots.owners()] == [(1, 0), (2, 1)]
    assert slots.shape == KvShape(2, 256)
    assert slots.invariants() == []


def test_a_row_has_one_owner_and_a_sequence_one_row() -> None:
    slots = slots_with(D)
    with pytest.raises(ValueError, match="row 0 is taken"):
        slots.assign(sequence(7, P), 0)
    with pytest.raises(ValueError, match="sequence 0 has one"):
        slots.assign(slots.owners()[0], 3)


def test_only_an_owner_can_give_a_row_back() -> None:
    slots = slots_with(D)
    owner = slots.owners()[0]
    assert slots.free(owner) == 0
    assert owner.row is None
    with pytest.raises(ValueError, match="owns no row"):
        slots.free(owner)


def test_invariants_name_a_row_outside_the_buffers() -> None:
    slots = KvSlots(KvShape(1, 128))
    slots.assign(sequence(1, D), 1)
    assert slots.invariants() == ["row 1 is outside KvShape(rows=1, tokens=128)"]


def test_invariants_name_a_row_that_holds_too_much() -> None:
    slots = KvSlots(KvShape(1, 128))
    slots.assign(sequence(1, D, num_computed=129), 0)
    assert slots.invariants() == ["sequence 1 holds 129 tokens of 128"]


def test_invariants_name_a_waiting_owner() -> None:
    assert slots_with(Status.WAITING).invariants() == ["sequence 0 waits and has a row"]


def test_invariants_name_a_row_that_somebody_else_changed() -> None:
    slots = slots_with(D)
    slots.owners()[0].row = 5
    assert slots.invariants() == ["row 0 and sequence 0 disagree"]
    with pytest.raises(ValueError, match="owns no row"):
        slots.free(slots.owners()[0])
