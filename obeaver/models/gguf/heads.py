"""In which order the elements of a head stand in the graph.

Attention's kernel turns elements i and i + width / 2 of each head. So the first of each pair that turns goes to the
front of the first half and the second to the front of the second half, whatever the file's order; elements that do not
turn fill the rest, and heads that are too narrow for the kernel are padded with zeros.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf.architecture import Architecture

Element = TypeVar("Element", bound=np.generic)

Order = npt.NDArray[np.intp]
"""Which element of the file's head stands at each place of the graph's, -1 for none."""


def rotary_order(model: Architecture) -> Order:
    """The order of queries' and keys' heads."""
    turning, half = model.rotated_width, model.head_width // 2
    pairs = np.arange(turning).reshape(-1, 2) if model.pairs else np.arange(turning).reshape(2, -1).T
    order = np.full(model.head_width, -1, np.intp)
    order[: len(pairs)], order[half : half + len(pairs)] = pairs[:, 0], pairs[:, 1]
    free = np.flatnonzero(order < 0)[: model.head_dim - turning]
    order[free] = np.arange(turning, model.head_dim)
    return order


def padded_order(model: Architecture) -> Order:
    """The order of values' heads: the file's."""
    order = np.full(model.head_width, -1, np.intp)
    order[: model.head_dim] = np.arange(model.head_dim)
    return order


def reorder(rows: npt.NDArray[Element], order: Order, head_dim: int) -> npt.NDArray[Element]:
    """Put the rows of whole heads [heads * head_dim, ...] in order."""
    if len(order) == head_dim and np.array_equal(order, np.arange(head_dim)):
        return rows
    heads = rows.reshape(-1, head_dim, *rows.shape[1:])
    ordered = heads[:, order]
    ordered[:, order < 0] = 0
    return np.ascontiguousarray(ordered).reshape(-1, *rows.shape[1:])
