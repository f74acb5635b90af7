"""A model's weights by name, as the graph wants them: float32, cut out of stacked tensors, heads in order."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np

from obeaver.models.gguf.architecture import Architecture, Matrix
from obeaver.models.gguf.dequantise import FOUR_BIT_TYPES, FourBitBlocks
from obeaver.models.gguf.heads import padded_order, reorder, rotary_order
from obeaver.models.gguf.reader import FloatArray, GgufFile, TensorFile
from obeaver.models.gguf.tensors import EXPERT_DOWN, EXPERT_GATE, EXPERT_UP
from obeaver.models.gguf.workers import Workers

# Elements that are dequantised at once: 512 KiB of float32. Larger pieces leave the processor's caches and are given
# back to the system each time, which took two to three times as long.
_PIECE_ELEMENTS: Final = 1 << 17

EMBEDDING: Final = "token_embd"
HEAD: Final = "output"
_LAST_NORM: Final = "output_norm"
# A type of 4 bits whose offsets are whole multiples of its scales.
_CENTRED: Final = "Q4_0"
# What a layer adds comes out of these.
_ADDING: Final = ("attn_output", "ffn_down")


class Weights:
    """Reads and orders the weights of one file. A head that the file does not have is the embedding.

    Parts are matrices of the computation by name, such as `blk.3.attn_q`, wherever they lie in the file.

    Attributes:
        file: Where they are.
        model: What the file holds.
        workers: What reads several pieces at once.
    """

    def __init__(self, file: TensorFile, model: Architecture, workers: Workers | None = None) -> None:
        self.file = file
        self.model = model
        self.workers = workers or Workers()
        rotary, padded = rotary_order(model), padded_order(model)
        self._row_orders = {"attn_q": rotary, "attn_k": rotary, "attn_v": padded}
        self._padded = padded

    @property
    def num_matrix_elements(self) -> int:
        """Elements of all matrices in the file."""
        return sum(math.prod(info.shape) for info in self.file.tensors.values() if len(info.shape) > 1)

    def has(self, name: str) -> bool:
        """Whether the file has a tensor of this name."""
        return name in self.file.tensors

    def storage(self, part: str) -> str:
        """Name of the type that a matrix is stored as."""
        return self.file.tensors[f"{self._matrix(part).tensor}.weight"].type.name

    def has_blocks(self, part: str) -> bool:  # noqa: ARG002  files have them, not tensors of any kind
        """Whether `blocks` gives a matrix."""
        return False

    def has_offsets(self, part: str) -> bool:
        """Whether `blocks` gives a matrix, and its offsets need not be whole multiples of its scales."""
        return self.has_blocks(part) and self.storage(part) != _CENTRED

    def blocks(self, part: str, rows: range) -> FourBitBlocks | None:  # noqa: ARG002
        """What `piece` gives, as the file has it in blocks of 4 bits; None where `has_blocks` says no."""
        return None

    @property
    def num_experts(self) -> int:
        """Experts of each layer."""
        return 0 if self.model.experts is None else self.model.experts.count

    def vector(self, name: str) -> FloatArray:
        """A weight of one dimension, such as `blk.0.attn_norm.weight`, or `attn_q_norm.weight` of each head."""
        vector = self.file.read(name).reshape(-1)
        part = _within_layer(name).rpartition(".")[0]
        if part in ("attn_q_norm", "attn_k_norm"):
            return self._norm_of_heads(vector)
        return vector * np.float32(self.model.logit_scale) if part == _LAST_NORM else vector

    def has_bias(self, parts: Sequence[str]) -> bool:
        """Whether any of some matrices has a bias."""
        return any(self._bias_name(part) in self.file.tensors for part in parts)

    def bias(self, parts: Sequence[str]) -> FloatArray:
        """The biases of some matrices, one after the other; zeros for one that has none."""
        return np.concatenate([self.bias_of(part) for part in parts])

    def bias_of(self, part: str) -> FloatArray:
        """The bias of one matrix; zeros where it has none."""
        name, matrix = self._bias_name(part), self._matrix(part)
        if name not in self.file.tensors:
            return np.zeros(self._num_rows(part), np.float32)
        bias = self.file.read(name)[matrix.start : matrix.start + matrix.rows]
        return bias * np.float32(self.model.logit_scale) if part == HEAD else self._rows_in_order(part, bias)

    def row(self, part: str, index: int) -> FloatArray:
        """One row of the embedding or the head."""
        row: FloatArray = self.file.read(f"{part}.weight", index, index + 1)[0]
        return row

    def num_rows(self, parts: Sequence[str]) -> int:
        """Rows of some matrices together."""
        return sum(self._num_rows(part) for part in parts)

    def num_columns(self, parts: Sequence[str]) -> int:
        """Columns of the matrices, which all have the same."""
        return self.model.q_size if _within_layer(parts[0]) == "attn_output" else self._matrix(parts[0]).columns

    def gate_up(self, prefix: str, index: int) -> FloatArray:
        """One expert's gate and up, rows in turns: [2 * ffn_size, hidden_size]."""
        gate, up = (self._expert_matrix(f"{prefix}.{name}", index) for name in (EXPERT_GATE, EXPERT_UP))
        return _alternating(gate, up)

    def down(self, prefix: str, index: int) -> FloatArray:
        """One expert's down: [hidden_size, ffn_size]."""
        return self._expert_matrix(f"{prefix}.{EXPERT_DOWN}", index)

    def gate_ups(self, prefix: str) -> FloatArray:
        """All experts' gate and up: [experts, 2 * ffn_size, hidden_size]."""
        return self._stacked(partial(self.gate_up, prefix))

    def downs(self, prefix: str) -> FloatArray:
        """All experts' down: [experts, hidden_size, ffn_size]."""
        return self._stacked(partial(self.down, prefix))

    def expert_biases(self, prefix: str) -> tuple[FloatArray, FloatArray] | None:
        """Biases of all experts' gate and up, in turns, and of down: [experts, rows] each; None for no biases."""
        names = [f"{prefix}.{name}.bias" for name in (EXPERT_GATE, EXPERT_UP, EXPERT_DOWN)]
        if not any(map(self.has, names)):
            return None
        gate, up, down = (
            self.file.read(name) if self.has(name) else np.zeros(self._expert_shape(name), np.float32) for name in names
        )
        return _alternating(gate.T, up.T).T, down

    def importance(self, part: str) -> FloatArray | None:  # noqa: ARG002  here nothing is known
        """How much a change in each column of a matrix matters, relative to each other; None is all alike."""
        return None

    def pieces(self, part: str) -> list[range]:
        """Rows of a matrix that `piece` reads at once: a small part of them, or one."""
        matrix = self._matrix(part)
        num_rows = self._num_rows(part)
        # Whole heads, so that their rows can be reordered within a piece.
        unit = self.model.head_width if _within_layer(part) in self._row_orders else 1
        step = max(1, _PIECE_ELEMENTS // (matrix.columns * unit)) * unit
        return [range(start, min(start + step, num_rows)) for start in range(0, num_rows, step)]

    def piece(self, part: str, rows: range) -> FloatArray:
        """Some rows of a matrix [rows, columns], as `pieces` cuts it."""
        return self._in_graph_order(part, self.file.read(*self._place(part, rows)))

    def _place(self, part: str, rows: range) -> tuple[str, int, int]:
        """Where the file has some rows of a matrix: the tensor, its first row, and the one after the last."""
        matrix, start, stop = self._matrix(part), rows.start, rows.stop
        if _within_layer(part) in self._row_orders:
            head_dim, head_width = self.model.head_dim, self.model.head_width
            start, stop = (row // head_width * head_dim for row in (start, stop))
        return f"{matrix.tensor}.weight", matrix.start + start, matrix.start + stop

    def begin_matrix(self, parts: Sequence[str]) -> Callable[[], FloatArray]:
        """Begin to read some matrices; gives what waits for them and returns them, one below the other."""
        found = self._room_for(self.num_rows(parts), self.num_columns(parts))

        def fill(place: tuple[str, range, int]) -> None:
            part, rows, start = place
            found[start : start + len(rows)] = self.piece(part, rows)

        wait = self.workers.start_many(fill, list(self.places(parts)))

        def filled() -> FloatArray:
            wait()
            return found

        return filled

    def places(self, parts: Sequence[str]) -> Iterator[tuple[str, range, int]]:
        """Each piece of some matrices, with where it begins when they stand one below the other."""
        start = 0
        for part in parts:
            for rows in self.pieces(part):
                yield part, rows, start + rows.start
            start += self._num_rows(part)

    def _room_for(self, rows: int, columns: int) -> FloatArray:
        """Where to put a matrix."""
        return np.empty((rows, columns), np.float32)

    def _stacked(self, of_expert: Callable[[int], FloatArray]) -> FloatArray:
        first = of_expert(0)
        found = np.empty((self.num_experts, *first.shape), np.float32)
        found[0] = first

        def fill(index: int) -> None:
            found[index] = of_expert(index)

        deque(self.workers.map(fill, range(1, len(found))), maxlen=0)
        return found

    def _matrix(self, part: str) -> Matrix:
        """Where a part lies, with the whole name of its tensor."""
        layer, _, name = part.rpartition(".")
        if not layer:
            tensor = EMBEDDING if part == HEAD and self.model.tied_head else part
            return Matrix(tensor, 0, self.model.vocab_size, self.model.hidden_size)
        matrix = self.model.matrices[name]
        return Matrix(f"{layer}.{matrix.tensor}", matrix.start, matrix.rows, matrix.columns)

    def _num_rows(self, part: str) -> int:
        rows, name = self._matrix(part).rows, _within_layer(part)
        return rows // self.model.head_dim * self.model.head_width if name in self._row_orders else rows

    def _expert_matrix(self, tensor: str, index: int) -> FloatArray:
        rows = self.file.tensors[f"{tensor}.weight"].shape[1]
        return self.file.read(f"{tensor}.weight", index * rows, (index + 1) * rows)

    def _expert_shape(self, bias: str) -> tuple[int, ...]:
        return self.file.tensors[bias.replace(".bias", ".weight")].shape[:2]

    def _bias_name(self, part: str) -> str:
        return f"{part if part == HEAD else self._matrix(part).tensor}.bias"

    def _pads_columns(self, part: str) -> bool:
        return _within_layer(part) == "attn_output" and self.model.head_width != self.model.head_dim

    def _in_graph_order(self, part: str, rows: FloatArray) -> FloatArray:
        if self._pads_columns(part):
            rows = np.ascontiguousarray(reorder(rows.T, self._padded, self.model.head_dim).T)
        return self._rows_in_order(part, rows)

    def _rows_in_order(self, part: str, rows: FloatArray) -> FloatArray:
        """Rows, or their biases, in the graph's order; with the scale of what a layer adds."""
        name = _within_layer(part)
        if name in self._row_orders:
            return reorder(rows, self._row_orders[name], self.model.head_dim)
        if name in _ADDING and self.model.residual_scale != 1:
            return rows * np.float32(self.model.residual_scale)
        return rows

    def _norm_of_heads(self, vector: FloatArray) -> FloatArray:
        """Weights of a norm of heads. Zeros beside a head make its mean square smaller, and the weights make up."""
        model = self.model
        ordered = reorder(vector, self._row_orders["attn_q"], model.head_dim)
        return ordered * np.float32((model.head_dim / model.head_width) ** 0.5)


class HeldWeights(Weights):
    """Weights whose matrices stay in memory once they were asked for whole, until they are let go.

    So a layer that is run and then stored is dequantised once. The next layer is put where the last one was, since
    fresh memory comes filled with zeros, which takes as long as dequantising: what was let go must not be read again.
    """

    def __init__(self, file: GgufFile, model: Architecture, workers: Workers | None = None) -> None:
        super().__init__(file, model, workers)
        self._mapped = file
        self._held: dict[str, FloatArray] = {}
        self._in_use: list[FloatArray] = []
        self._free: list[FloatArray] = []

    def let_go(self) -> None:
        """Forget what is held."""
        self._held.clear()
        self._free, self._in_use = self._in_use, []
        self._mapped.let_go()

    def has_blocks(self, part: str) -> bool:
        """As `Weights.has_blocks`."""
        kind = self.file.tensors[f"{self._matrix(part).tensor}.weight"].type
        return kind in FOUR_BIT_TYPES and not self._pads_columns(part)

    def blocks(self, part: str, rows: range) -> FourBitBlocks | None:
        """As `Weights.blocks`."""
        if not self.has_blocks(part):
            return None
        integers, scales, offsets = self._mapped.read_blocks(*self._place(part, rows))
        if (order := self._row_orders.get(_within_layer(part))) is not None:
            integers = reorder(integers, order, self.model.head_dim)
        return FourBitBlocks(integers, self._rows_in_order(part, scales), self._rows_in_order(part, offsets))

    def begin_matrix(self, parts: Sequence[str]) -> Callable[[], FloatArray]:
        """As `Weights.begin_matrix`."""
        filled = super().begin_matrix(parts)

        def held() -> FloatArray:
            found, start = filled(), 0
            for part in parts:
                num_rows = self.num_rows([part])
                self._held[part] = found[start : start + num_rows]
                start += num_rows
            return found

        return held

    def piece(self, part: str, rows: range) -> FloatArray:
        """As `Weights.piece`."""
        held = self._held.get(part)
        return super().piece(part, rows) if held is None else held[rows.start : rows.stop]

    def _room_for(self, rows: int, columns: int) -> FloatArray:
        place = next((i for i, free in enumerate(self._free) if free.shape == (rows, columns)), None)
        room = super()._room_for(rows, columns) if place is None else self._free.pop(place)
        self._in_use.append(room)
        return room

    def gate_ups(self, prefix: str) -> FloatArray:
        """As `Weights.gate_ups`."""
        found = self._held[f"{prefix}.{EXPERT_UP}"] = super().gate_ups(prefix)
        return found

    def downs(self, prefix: str) -> FloatArray:
        """As `Weights.downs`."""
        found = self._held[f"{prefix}.{EXPERT_DOWN}"] = super().downs(prefix)
        return found

    def gate_up(self, prefix: str, index: int) -> FloatArray:
        """As `Weights.gate_up`."""
        held = self._held.get(f"{prefix}.{EXPERT_UP}")
        return super().gate_up(prefix, index) if held is None else held[index]

    def down(self, prefix: str, index: int) -> FloatArray:
        """As `Weights.down`."""
        held = self._held.get(f"{prefix}.{EXPERT_DOWN}")
        return super().down(prefix, index) if held is None else held[index]


def _within_layer(name: str) -> str:
    """A name without its layer's, such as `attn_q` or `attn_norm.weight`."""
    return name.split(".", 2)[2] if name.startswith("blk.") else name


def _alternating(first: FloatArray, second: FloatArray) -> FloatArray:
    """Rows of two arrays in turns."""
    return np.stack([first, second], axis=1).reshape(-1, *first.shape[1:])
