from hypothesis import given
from hypothesis import strategies as st

from obeaver.engine.encoding.batches import BatchItem, BatchLimits, BatchQueue, TokenisedText

PADDED = BatchLimits(max_tokens=100, max_padded_tokens=100, max_rows=8)
PACKED = BatchLimits(max_tokens=100, max_padded_tokens=400, max_rows=8, max_padding=1.0)


def texts(*lengths: int) -> list[TokenisedText]:
    return [TokenisedText(range(length)) for length in lengths]


def lengths(batch: list[BatchItem]) -> list[int]:
    return [len(item.text.ids) for item in batch]


def drained(queue: BatchQueue) -> list[list[BatchItem]]:
    batches = []
    while queue:
        batches.append(queue.next_batch())
    return batches


def test_like_lengths_run_together_longest_first() -> None:
    queue = BatchQueue(PADDED)
    queue.add(1, texts(5, 20, 4, 19, 20, 5))
    assert [lengths(batch) for batch in drained(queue)] == [[20, 20, 19], [5, 5, 4]]


def test_a_graph_that_drops_padding_mixes_lengths_up_to_its_budget() -> None:
    queue = BatchQueue(PACKED)
    queue.add(1, texts(60, 30, 9, 9, 2))
    assert [lengths(batch) for batch in drained(queue)] == [[60, 30, 9], [9, 2]]


def test_the_unfolded_rows_of_such_a_graph_are_bounded_too() -> None:
    queue = BatchQueue(BatchLimits(max_tokens=100, max_padded_tokens=180, max_rows=8, max_padding=1.0))
    queue.add(1, texts(60, 1, 1, 1))
    assert lengths(queue.next_batch()) == [60, 1, 1]


def test_a_text_beyond_the_budget_runs_alone() -> None:
    queue = BatchQueue(PADDED)
    queue.add(1, texts(500, 3))
    assert [lengths(batch) for batch in drained(queue)] == [[500], [3]]


def test_where_neighbours_would_matter_each_text_runs_alone() -> None:
    queue = BatchQueue(BatchLimits(max_tokens=100, max_padded_tokens=100, max_rows=1))
    queue.add(1, texts(3, 3, 3))
    assert [lengths(batch) for batch in drained(queue)] == [[3], [3], [3]]


def test_a_giant_request_lets_a_small_one_in_after_one_batch() -> None:
    queue = BatchQueue(PADDED)
    queue.add(1, texts(*[50] * 200))
    queue.next_batch()
    queue.add(2, texts(7))
    served = [{item.request_id for item in queue.next_batch()} for _ in range(2)]
    assert 2 in set().union(*served)


def test_every_request_gets_its_turn_within_one_round() -> None:
    queue = BatchQueue(PADDED)
    for request_id in range(5):
        queue.add(request_id, texts(*[10 * (request_id + 1)] * 30))
    seen = {item.request_id for _ in range(5) for item in queue.next_batch()}
    assert seen == set(range(5))


def test_what_is_dropped_is_not_computed() -> None:
    queue = BatchQueue(PADDED)
    queue.add(1, texts(5, 5))
    queue.add(2, texts(5))
    queue.drop([1])
    assert [item.request_id for item in queue.next_batch()] == [2]
    assert not queue
    assert queue.num_texts == 0


@given(
    requests=st.lists(st.lists(st.integers(1, 150), min_size=1, max_size=20), min_size=1, max_size=6),
    limits=st.sampled_from([PADDED, PACKED]),
)
def test_every_text_is_computed_once_within_the_limits(requests: list[list[int]], limits: BatchLimits) -> None:
    queue = BatchQueue(limits)
    for request_id, sizes in enumerate(requests):
        queue.add(request_id, texts(*sizes))
    batches = drained(queue)
    done = sorted((item.request_id, item.place, len(item.text.ids)) for batch in batches for item in batch)
    assert done == [(r, place, size) for r, sizes in enumerate(requests) for place, size in enumerate(sizes)]
    for batch in batches:
        sizes = lengths(batch)
        assert sizes[0] == max(sizes)
        if len(batch) > 1:
            assert sum(sizes) <= limits.max_tokens
            assert len(sizes) * max(sizes) <= limits.max_padded_tokens
            assert len(sizes) <= limits.max_rows
            assert min(sizes) >= max(sizes) * (1 - limits.max_padding)
