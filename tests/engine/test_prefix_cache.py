from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_runner import BYTES_PER_TOKEN, closed_form

from obeaver.engine.decoding.prefix_cache import NODE_TOKENS, PrefixCache, common_prefix
from obeaver.engine.runners.runner import KvBlock


def cache_of(num_tokens: int) -> PrefixCache:
    return PrefixCache(num_tokens * BYTES_PER_TOKEN, BYTES_PER_TOKEN)


def reader(token_ids: tuple[int, ...], reads: list[tuple[int, int]] | None = None) -> Callable[[int, int], KvBlock]:
    def read(start: int, stop: int) -> KvBlock:
        if reads is not None:
            reads.append((start, stop))
        return closed_form(token_ids, 0)[:, :, :, start:stop].copy()

    return read


def insert(cache: PrefixCache, token_ids: tuple[int, ...]) -> int:
    added = cache.insert(token_ids, reader(token_ids))
    assert cache.invariants() == []
    return added


def loaded(cache: PrefixCache, token_ids: tuple[int, ...]) -> int:
    """Length of the match, after its blocks were compared with the closed form."""
    match = cache.match(token_ids)
    place = 0
    for start, block in match.blocks():
        assert start == place
        place += block.shape[3]
        assert np.array_equal(block, closed_form(token_ids, 0)[:, :, :, start:place])
    assert place == match.num_tokens
    return match.num_tokens


A = tuple(range(100, 140))
B = (*A[:25], *range(50, 70))


def test_an_empty_cache_matches_nothing() -> None:
    assert cache_of(100).match(A).num_tokens == 0


def test_what_was_inserted_is_found_with_its_keys_and_values() -> None:
    cache = cache_of(100)
    assert insert(cache, A) == 40
    assert loaded(cache, A) == 40


def test_a_match_ends_where_the_ids_begin_to_differ() -> None:
    cache = cache_of(100)
    insert(cache, A)
    assert loaded(cache, B) == 25


def test_a_match_is_no_longer_than_what_is_asked_for() -> None:
    cache = cache_of(100)
    insert(cache, A)
    assert loaded(cache, A[:10]) == 10


def test_ids_that_stand_in_the_middle_are_no_prefix() -> None:
    cache = cache_of(100)
    insert(cache, A)
    assert loaded(cache, A[1:]) == 0


def test_a_branch_shares_its_stem() -> None:
    cache = cache_of(100)
    insert(cache, A)
    assert insert(cache, B) == 20
    assert (loaded(cache, A), loaded(cache, B)) == (40, 45)
    assert cache.num_tokens == 60


def test_only_what_is_missing_is_read() -> None:
    cache = cache_of(100)
    insert(cache, A[:30])
    reads: list[tuple[int, int]] = []
    cache.insert(A, reader(A, reads))
    assert reads == [(30, 40)]


def test_inserting_what_is_known_adds_nothing() -> None:
    cache = cache_of(100)
    insert(cache, A)
    assert insert(cache, A) == 0
    assert insert(cache, A[:7]) == 0
    assert cache.num_tokens == 40


def test_long_runs_are_held_in_short_nodes() -> None:
    cache = cache_of(1000)
    token_ids = tuple(range(2 * NODE_TOKENS + 1))
    insert(cache, token_ids)
    assert loaded(cache, token_ids) == len(token_ids)
    assert [len(node.token_ids) for node in cache.match(token_ids).nodes] == [NODE_TOKENS, NODE_TOKENS, 1]


def test_what_was_not_used_for_the_longest_time_goes_first() -> None:
    cache = cache_of(30)
    first, second, third = ((start,) * 10 for start in (1, 2, 3))
    for token_ids in (first, second, third):
        insert(cache, token_ids)
    cache.touch(cache.match(first))
    insert(cache, (4,) * 10)
    assert [loaded(cache, ids) for ids in (first, second, third, (4,) * 10)] == [10, 0, 10, 10]


def test_looking_does_not_keep_anything_young() -> None:
    cache = cache_of(20)
    insert(cache, (1,) * 10)
    insert(cache, (2,) * 10)
    cache.match((1,) * 10)
    insert(cache, (3,) * 10)
    assert loaded(cache, (1,) * 10) == 0


def test_a_tail_goes_before_the_head_that_leads_to_it() -> None:
    cache = cache_of(2 * NODE_TOKENS)
    long = tuple(range(2 * NODE_TOKENS))
    insert(cache, long)
    insert(cache, (7000,) * 5)
    assert loaded(cache, long) == NODE_TOKENS


def test_what_is_larger_than_the_budget_is_held_as_far_as_it_fits() -> None:
    cache = cache_of(30)
    assert insert(cache, A) == 30
    assert loaded(cache, A) == 30


def test_a_prefix_never_evicts_itself_to_become_longer() -> None:
    cache = cache_of(30)
    insert(cache, A[:30])
    assert insert(cache, A) == 0
    assert loaded(cache, A) == 30


def test_without_a_budget_nothing_is_held() -> None:
    cache = cache_of(0)
    assert insert(cache, A) == 0
    assert cache.used_bytes == 0


def test_a_match_stays_good_when_the_tree_changes() -> None:
    cache = cache_of(45)
    insert(cache, A)
    match = cache.match(A)
    insert(cache, B)
    insert(cache, (1,) * 45)
    cache.touch(match)
    blocks = [block for _, block in match.blocks()]
    assert np.array_equal(np.concatenate(blocks, axis=3), closed_form(A, 0))
    assert cache.invariants() == []


def test_using_an_old_match_keeps_the_tree_in_order() -> None:
    cache = cache_of(100)
    insert(cache, A)
    match = cache.match(A)
    insert(cache, B)
    cache.touch(match)
    assert cache.invariants() == []


def test_a_read_that_fails_leaves_the_cache_sound() -> None:
    cache = cache_of(100)
    insert(cache, A)

    def fail(start: int, stop: int) -> KvBlock:
        raise RuntimeError(f"no {start} to {stop}")

    with pytest.raises(RuntimeError):
        cache.insert(B, fail)
    assert cache.invariants() == []
    assert loaded(cache, A) == 40


def test_invariants_name_blocks_that_are_views() -> None:
    cache = cache_of(100)
    cache.insert(A, lambda start, stop: closed_form(A, 0)[:, :, :, start:stop])
    assert cache.invariants() == ["prefix cache: a block is a view of a larger array"]


def test_invariants_name_a_byte_count_that_is_not_what_is_held() -> None:
    cache = PrefixCache(1000, 1)
    cache.insert(A, reader(A))
    assert cache.invariants() == ["prefix cache: blocks and byte count disagree"]


@given(st.lists(st.integers(0, 1), max_size=40), st.lists(st.integers(0, 1), max_size=40))
def test_a_common_prefix_is_counted_to_the_token(left: list[int], right: list[int]) -> None:
    pairs = list(zip(left, right, strict=False))
    expected = next((index for index, (a, b) in enumerate(pairs) if a != b), len(pairs))
    assert common_prefix(tuple(left), tuple(right)) == expected


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 120), st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), max_size=30))
def test_any_history_leaves_a_sound_tree_that_finds_the_longest_prefix(budget: int, history: list[list[int]]) -> None:
    cache = cache_of(budget)
    for ids in history:
        token_ids = tuple(ids)
        insert(cache, token_ids)
        assert loaded(cache, token_ids) == min(budget, len(token_ids))
        assert cache.used_bytes <= budget * BYTES_PER_TOKEN
