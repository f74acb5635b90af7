"""A model's weights by name, as the graph wants them: float32, query and key rows in the order of rotated halves."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.reader import FloatArray, GgufFile

# Elements that are dequantised at once: 16 MiB of float32, which bounds memory whatever the model's size.
_CHUNK_ELEMENTS = 4 << 20


class Weights:
    """Reads and orders the weights of one file."""

    def __init__(self, file: GgufFile, model: Architecture) -> None:
        self._file = file
        self._model = model

    @property
    def num_matrix_elements(self) -> int:
        """Elements of all matrices."""
        return sum(math.prod(info.shape) for info in self._file.tensors.values() if len(info.shape) > 1)

    def vector(self, name: str) -> FloatArray:
        """A weight of one dimension."""
        return self._ordered(name, self._file.read(name))

    def has_bias(self, parts: Sequence[str]) -> bool:
        """Whether any of some matrices has a bias."""
        return any(f"{part}.bias" in self._file.tensors for part in parts)

    def bias(self, parts: Sequence[str]) -> FloatArray:
        """The biases of some matrices, one after the other; zeros for one that has none."""
        return np.concatenate(
            [
                self.vector(f"{part}.bias") if self.has_bias([part]) else np.zeros(self.num_rows([part]), np.float32)
                for part in parts
            ]
        )

    def row(self, part: str, index: int) -> FloatArray:
        """One row of a matrix."""
        row: FloatArray = self._file.read(f"{part}.weight", index, index + 1)[0]
        return row

    def num_rows(self, parts: Sequence[str]) -> int:
        """Rows of some matrices together."""
        return sum(self._file.tensors[f"{part}.weight"].num_rows for part in parts)

    def num_columns(self, parts: Sequence[str]) -> int:
        """Columns of the matrices, which all have the same."""
        return self._file.tensors[f"{parts[0]}.weight"].shape[-1]

    def chunks(self, parts: Sequence[str]) -> Iterator[FloatArray]:
        """The rows of some matrices one after the other, in pieces [rows, columns] of bounded size."""
        head_dim = self._model.head_dim
        for part in parts:
            info = self._file.tensors[f"{part}.weight"]
            # Whole heads, so that their rows can be reordered within a piece.
            step = max(1, _CHUNK_ELEMENTS // (info.shape[-1] * head_dim)) * head_dim
            for start in range(0, info.num_rows, step):
                rows = self._file.read(info.name, start, min(start + step, info.num_rows))
                yield self._ordered(info.name, rows)

    def _ordered(self, name: str, rows: FloatArray) -> FloatArray:
        if not (self._model.rope.interleaved and (".attn_q." in name or ".attn_k." in name)):
            return rows
        # llama.cpp's converter puts dimensions i and i + head_dim / 2 of a head side by side, to rotate pairs.
        heads = rows.reshape(-1, self._model.head_dim // 2, 2, *rows.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)
