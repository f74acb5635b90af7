"""Exact selections from one row of logits that never sort the vocabulary.

All orders are the same: largest value first, equal values by lowest index.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Chosen = npt.NDArray[np.bool_]

# 128 values a group: the maxima of 49,152 values take 8 µs, and the groups that matter hold few others.
_GROUP_SIZE: Final = 128
# Below four groups for each value wanted, most groups hold one of them and nothing is saved.
_GROUPS_PER_VALUE: Final = 4
# Sorting so many takes as long as counting them into buckets.
_SORTED_AT_ONCE: Final = 4096


def in_order(values: Values) -> Indices:
    """Indices of all values, sorted."""
    return np.argsort(-values, kind="stable")


def largest(values: Values, count: int) -> Indices:
    """Indices of the `count` largest values, sorted; of all of them if there are fewer. No value may be NaN.

    The values are split into groups. The `count`-th largest of the groups' maxima is a lower bound for the
    `count`-th largest value, since that many groups hold a value as large; only groups that reach it are looked into.
    """
    group_size = min(_GROUP_SIZE, values.size // (_GROUPS_PER_VALUE * count))
    if group_size <= 1:
        return in_order(values)[:count]
    candidates = _reaching_bound(values, count, group_size)
    return candidates[in_order(values[candidates])[:count]]


def largest_of_rows(values: Values, count: int) -> tuple[Indices, Indices]:
    """What `largest` gives for each row, in a few operations for all of them.

    Args:
        values: [n, size]; none may be NaN.
        count: How many of each row.

    Returns:
        Rows and columns, [n * min(count, size)] each: row by row, the largest first.
    """
    num_rows, size = values.shape
    count = min(count, size)
    group_size = max(1, min(_GROUP_SIZE, size // (_GROUPS_PER_VALUE * count)))
    num_groups = size // group_size
    maxima = values[:, : num_groups * group_size].reshape(num_rows, group_size, num_groups).max(axis=1)
    bounds = np.partition(maxima, num_groups - count, axis=1)[:, num_groups - count]
    rows, columns = np.divmod(np.flatnonzero(values >= bounds[:, None]), size)
    order = np.lexsort((columns, -values[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    # Where its row begins among the candidates, which has at least `count` of them.
    starts = np.searchsorted(rows, np.arange(num_rows))
    chosen = (starts[:, None] + np.arange(count)).reshape(-1)
    return rows[chosen], columns[chosen]


def _reaching_bound(values: Values, count: int, group_size: int) -> Indices:
    """Ascending indices of some values, the `count` largest among them."""
    num_groups = values.size // group_size
    body_size = num_groups * group_size
    # Group g is every num_groups-th value from g: maxima run along memory, at vector speed.
    groups = values[:body_size].reshape(group_size, num_groups)
    maxima = groups.max(axis=0)
    bound = np.partition(maxima, num_groups - count)[num_groups - count]
    reaching = np.flatnonzero(maxima >= bound)
    hits = np.flatnonzero(groups.take(reaching, axis=1) >= bound)
    body = hits // reaching.size * num_groups + reaching[hits % reaching.size]
    tail = np.flatnonzero(values[body_size:] >= bound) + body_size
    return np.concatenate((body, tail))


def heaviest(weights: Values, mass: float) -> Chosen:
    """Which are the fewest largest weights that together reach `mass`; all of them if they do not.

    Weights are at least 0. Many are not sorted but counted into buckets first: those above the bucket in which the
    mass is reached are all in, those below are all out, and only its own weights need an order.
    """
    if weights.size <= _SORTED_AT_ONCE:
        return _heaviest_sorted(weights, mass)
    # Non-negative floats are ordered as their bits are; the upper half makes buckets that are at most 1 % wide.
    buckets = weights.view(np.int32) >> 16
    reached = np.cumsum(np.bincount(buckets, weights)[::-1])
    if mass >= reached[-1]:
        return np.ones(weights.shape, np.bool_)
    place = int(np.searchsorted(reached, mass))
    edge = reached.size - 1 - place
    chosen: Chosen = buckets > edge
    on_edge = np.flatnonzero(buckets == edge)
    missing = mass - (reached[place - 1] if place else 0.0)
    chosen[on_edge] = _heaviest_sorted(weights[on_edge], missing)
    return chosen


def _heaviest_sorted(weights: Values, mass: float) -> Chosen:
    descending = np.sort(weights)[::-1]
    reached = np.cumsum(descending, dtype=np.float64)
    count = min(int(np.searchsorted(reached, mass)) + 1, weights.size)
    cut = descending[count - 1]
    chosen: Chosen = weights > cut
    equal = np.flatnonzero(weights == cut)
    chosen[equal[: count - np.count_nonzero(chosen)]] = True
    return chosen
