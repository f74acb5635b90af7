"""Memory of the keys and values: one array for each cache of each layer, rows outermost.

A row's part of an array is contiguous, and so are those of rows 0 to n-1 together: a graph can be given either as its
past and its present at once, and then writes new tokens where they belong without a copy.
"""

import contextlib
import math
import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from obeaver.engine.runners.decoder_graph import DecoderGraph
from obeaver.engine.runners.runner import KvBlock, KvShape

KvArray = npt.NDArray[np.generic]


class KvBuffers:
    """All caches of one model, [rows, num_kv_heads, tokens or more, head_dim] each; none before the first `resize`."""

    def __init__(self, graph: DecoderGraph) -> None:
        self._graph = graph
        self.shape = KvShape(0, 0)
        self.arrays = [self._empty(self.shape) for _ in graph.cache_names]

    def resize(self, shape: KvShape, held: Sequence[int] | None = None) -> None:
        """Reallocate, array by array, so that only one of them exists twice at a time.

        Args:
            shape: Rows and places.
            held: Tokens in each row, the first ones, which are copied; None: whatever fits. Room that was never used
                would take memory, and time in which nothing is computed, once it is copied.
        """
        rows, tokens = min(self.shape.rows, shape.rows), min(self.shape.tokens, shape.tokens)
        kept = [min(tokens, num_tokens) for num_tokens in ([tokens] * rows if held is None else held[:rows])]
        for index, old in enumerate(self.arrays):
            new = self._empty(shape)
            for row, num_tokens in enumerate(kept):
                new[row, :, :num_tokens] = old[row, :, :num_tokens]
            self.arrays[index] = new
        self.shape = shape

    def move_row(self, source: int, target: int, num_tokens: int) -> None:
        """Copy the first tokens of a row over another's."""
        for array in self.arrays:
            array[target, :, :num_tokens] = array[source, :, :num_tokens]

    def swap_rows(self, first: int, second: int, num_first: int, num_second: int) -> None:
        """Exchange the first tokens of two rows, so many of each, array by array."""
        (num_short, short), (num_long, long) = sorted([(num_first, first), (num_second, second)])
        for array in self.arrays:
            kept = array[short, :, :num_short].copy()
            array[short, :, :num_long] = array[long, :, :num_long]
            array[long, :, :num_short] = kept

    def read(self, row: int, start: int, stop: int) -> KvBlock:
        """A copy of consecutive tokens: [num_layers, 2, num_kv_heads, num_tokens, head_dim]."""
        graph = self._graph
        block = np.empty((graph.num_layers, 2, graph.num_kv_heads, stop - start, graph.head_dim), graph.kv_type)
        for index, array in enumerate(self.arrays):
            block[index // 2, index % 2] = array[row, :, start:stop]
        return block

    def write(self, row: int, start: int, block: KvBlock) -> None:
        """Put such a copy back."""
        stop = start + block.shape[3]
        for index, array in enumerate(self.arrays):
            array[row, :, start:stop] = block[index // 2, index % 2]

    def _empty(self, shape: KvShape) -> KvArray:
        graph = self._graph
        num_tokens = max(shape.tokens, graph.min_cache_tokens)
        return _zeros((shape.rows, graph.num_kv_heads, num_tokens, graph.head_dim), np.dtype(graph.kv_type))


def _zeros(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> KvArray:
    """Zeroed by the operating system, page by page as they are first touched: unused room takes no time, and no memory.

    numpy asks for huge pages, with which a row's first token would touch all of it.
    """
    num_bytes = math.prod(shape) * dtype.itemsize
    if not num_bytes or not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return np.zeros(shape, dtype)
    memory = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # kernels that have no huge pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)
