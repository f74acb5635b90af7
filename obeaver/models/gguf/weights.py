"""A model's weights by name, as the graph wants them: float32, query and key rows in the order of rotated halves."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from obeaver.models.gguf.architecture import Architecture
from obeaver.models.gguf.reader import FloatArray, GgufFile, TensorInfo

# Elements that are dequantised at once: 16 MiB of float32, which bounds memory whatever the model's size.
_CHUNK_ELEMENTS = 4 << 20

EMBEDDING: Final = "token_embd"
HEAD: Final = "output"


class Weights:
    """Reads and orders the weights of one file. A head that the file does not have is the embedding."""

    def __init__(self, file: GgufFile, model: Architecture) -> None:
        self.file = file
        self.model = model

    @property
    def num_matrix_elements(self) -> int:
        """Elements of all matrices."""
        return sum(math.prod(info.shape) for info in self.file.tensors.values() if len(info.shape) > 1)

    def vector(self, name: str) -> FloatArray:
        """A weight of one dimension."""
        return self._ordered(name, self.file.read(name))

    def has_bias(self, parts: Sequence[str]) -> bool:
        """Whether any of some matrices has a bias."""
        return any(f"{part}.bias" in self.file.tensors for part in parts)

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
        row: FloatArray = self.file.read(f"{part}.weight", index, index + 1)[0]
        return row

    def num_rows(self, parts: Sequence[str]) -> int:
        """Rows of some matrices together."""
        return sum(self._matrix(part).num_rows for part in parts)

    def num_columns(self, parts: Sequence[str]) -> int:
        """Columns of the matrices, which all have the same."""
        return self._matrix(parts[0]).shape[-1]

    def importance(self, part: str) -> FloatArray | None:  # noqa: ARG002  here nothing is known
        """How much a change in each column of a matrix matters, relative to each other; None is all alike."""
        return None

    def chunks(self, parts: Sequence[str]) -> Iterator[FloatArray]:
        """The rows of some matrices one after the other, in pieces [rows, columns] of bounded size."""
        head_dim = self.model.head_dim
        for part in parts:
            info = self._matrix(part)
            # Whole heads, so that their rows can be reordered within a piece.
            step = max(1, _CHUNK_ELEMENTS // (info.shape[-1] * head_dim)) * head_dim
            for start in range(0, info.num_rows, step):
                rows = self.file.read(info.name, start, min(start + step, info.num_rows))
                yield self._ordered(info.name, rows)

    def _matrix(self, part: str) -> TensorInfo:
        return self.file.tensors[f"{EMBEDDING if part == HEAD and self.model.tied_head else part}.weight"]

    def _ordered(self, name: str, rows: FloatArray) -> FloatArray:
        if not (self.model.rope.interleaved and (".attn_q." in name or ".attn_k." in name)):
            return rows
        # llama.cpp's converter puts dimensions i and i + head_dim / 2 of a head side by side, to rotate pairs.
        heads = rows.reshape(-1, self.model.head_dim // 2, 2, *rows.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)
