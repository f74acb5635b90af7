import pytest
from hypothesis import given
from hypothesis import strategies as st

from obeaver.engine.decoding.admission import GRANULE, Admission
from obeaver.engine.runners.runner import KvShape
from obeaver.errors import ContextLengthExceeded

BYTES = 10


def admission(budget_tokens: int, context_length: int = 1000, max_rows: int = 4) -> Admission:
    return Admission(context_length, BYTES, max_rows, budget_tokens * BYTES)


def test_a_row_may_be_as_long_as_the_context_when_memory_allows() -> None:
    assert admission(5000).longest_row == 1000
    assert admission(5000).room_for(990) == 10


def test_a_row_is_as_long_as_memory_allows_in_whole_granules_when_the_context_is_longer() -> None:
    assert admission(700).longest_row == 640
    assert admission(700).room_for(640) == 0


def test_no_memory_means_that_nothing_ever_fits() -> None:
    assert admission(100).longest_row == 0
    assert admission(100).room_for(1) < 0


def test_prompt_and_answer_may_fill_the_context_to_the_last_token() -> None:
    admission(5000).check(990, 10)


def test_one_token_beyond_the_context_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"maximum context length is 1000 tokens.*has 990") as caught:
        admission(5000).check(990, 11)
    assert "context" in caught.value.message


def test_what_memory_alone_forbids_is_refused_with_its_own_number() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"maximum context length is 640 tokens, .* memory set aside"):
        admission(700).check(600, 41)


def test_rows_are_charged_at_the_longest_ones_capacity() -> None:
    assert admission(5000).reserved([10, 300, 129]) == KvShape(3, 384)


def test_capacity_is_rounded_up_but_never_beyond_the_context() -> None:
    assert admission(5000).capacity(129) == 2 * GRANULE
    assert admission(5000).capacity(999) == 1000


def test_sequences_fit_together_while_rows_times_capacity_stay_in_the_budget() -> None:
    assert admission(3 * 384).fits(KvShape(3, 384))
    assert not admission(3 * 384 - 1).fits(KvShape(3, 384))
    assert not admission(50_000).fits(KvShape(5, 128))


def test_limits_that_make_no_sense_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="positive"):
        Admission(context_length=100, bytes_per_token=0, max_rows=1, budget_bytes=100)


def test_buffers_that_suffice_are_kept() -> None:
    current = KvShape(4, 512)
    assert admission(5000).next_shape(current, KvShape(2, 100), KvShape(2, 128)) == current


def test_an_idle_engine_gives_its_buffers_back() -> None:
    assert admission(5000).next_shape(KvShape(4, 512), KvShape(0, 0), KvShape(0, 128)) == KvShape(1, 128)


def test_buffers_grow_geometrically_while_memory_allows() -> None:
    grown = admission(50_000).next_shape(KvShape(1, 512), KvShape(2, 513), KvShape(2, 1000))
    assert grown == KvShape(2, 768)
    assert admission(50_000, max_rows=16).next_shape(KvShape(4, 128), KvShape(5, 100), KvShape(5, 128)).rows == 8


def test_buffers_do_not_grow_beyond_what_the_running_sequences_may_need() -> None:
    assert admission(50_000).next_shape(KvShape(1, 512), KvShape(1, 513), KvShape(1, 640)) == KvShape(1, 640)


def test_wide_buffers_make_way_for_one_long_row() -> None:
    grown = admission(1000).next_shape(KvShape(4, 128), KvShape(1, 900), KvShape(1, 1000))
    assert grown == KvShape(1, 1000)


shapes = st.builds(KvShape, st.integers(1, 8), st.integers(1, 1000))


@given(
    worst=st.lists(st.integers(1, 1000), min_size=1, max_size=8),
    share=st.floats(0.01, 1),
    current=shapes,
    budget=st.integers(128, 20_000),
)
def test_whatever_was_admitted_gets_buffers_that_hold_it_within_the_budget(
    worst: list[int], share: float, current: KvShape, budget: int
) -> None:
    limits = admission(budget, max_rows=8)
    reserved = limits.reserved(worst)
    if not limits.fits(reserved) or not limits.fits(current):
        return
    needed = KvShape(len(worst), max(1, int(max(worst) * share)))
    shape = limits.next_shape(current, needed, reserved)
    assert limits.fits(shape)
    assert shape.rows >= needed.rows
    assert shape.tokens >= needed.tokens
