"""Block-wise quantisation of weight matrices, in the layout of ONNX Runtime's MatMulNBits.

Each row is cut into blocks along K; a block has one float32 scale and one unsigned zero point:
`weight ~ (stored - zero_point) * scale`. Blocks of 4 bits are packed two to a byte, the first in the low half.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

FEW_BITS: Final = 4
# Activations are quantised to int8 in blocks as well, which is what the fast kernels multiply: their `accuracy_level`.
INT8_ACTIVATIONS: Final = 4
_INT8_TOP: Final = 127

# Ranges that are tried: as far as the block's extremes or less far, so that these are clipped, and with the zero point
# moved. On the default model, ranges down to 0.7 of the extremes had a mean KL of 0.125, down to 0.5 one of 0.120.
_REACHES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_MOVES: Final = (-1, 0, 1)
_REFITS: Final = 2
# Weights that are searched at once: what lies in a processor's cache is searched twice as fast.
_SEARCHED_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """How a matrix is quantised.

    Attributes:
        bits: 4 or 8.
        block_size: Columns that share a scale; a power of two, at least 16.
        symmetric: Without stored zero points: the middle of the range stands for 0.
    """

    bits: int
    block_size: int
    symmetric: bool = False

    @property
    def top(self) -> int:
        """The largest stored value."""
        return (1 << self.bits) - 1

    def blocks(self, columns: int) -> int:
        """Blocks that a row of `columns` takes; the last may be padded."""
        return -(-columns // self.block_size)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """A matrix of signed integers with one scale for each row, for integer products with activations rounded alike.

    Attributes:
        bits: 8.
        per: What shares a scale.
        rotated: Whether columns are turned, to meet activations that are turned alike.
    """

    bits: int = 8
    per: str = "row"
    rotated: bool = False


class Quantised(NamedTuple):
    """Rows of a quantised matrix.

    Attributes:
        packed: [rows, blocks, block_size * bits / 8].
        scales: [rows, blocks].
        zero_points: [rows, ceil(blocks * bits / 8)], or None when symmetric.
    """

    packed: ByteArray
    scales: FloatArray
    zero_points: ByteArray | None


class _Fit(NamedTuple):
    """Ranges of some blocks, each with the scale that suits its integers best.

    Attributes:
        scales: [rows, blocks].
        zeros: Zero points, [rows, blocks].
        gain: By how much the squared error, each column counted by its importance, is less than that of zeros.
    """

    scales: FloatArray
    zeros: FloatArray
    gain: FloatArray


def quantise(matrix: FloatArray, form: BlockFormat, importance: FloatArray | None = None) -> Quantised:
    """Quantise a matrix [rows, columns]; columns that do not fill the last block are padded with zeros.

    Args:
        matrix: The matrix.
        form: Its format.
        importance: What a squared error in each column counts, for blocks of few bits: these search for the ranges
            that suit it. None is ranges as wide as the blocks.
    """
    blocks = _in_blocks(matrix, form)
    scales, zeros = _ranges(blocks, form)
    if importance is not None and form.bits == FEW_BITS and not form.symmetric:
        scales, zeros = _searched(blocks, scales, zeros, _in_blocks(importance[None], form)[0], form)
    stored = _stored(blocks, scales, zeros, form)
    zero_points = None if form.symmetric else _pack(zeros.astype(np.uint8), form.bits)
    return Quantised(_pack(stored.astype(np.uint8), form.bits), scales, zero_points)


def from_integers(integers: ByteArray, scales: FloatArray, zeros: FloatArray, form: BlockFormat) -> Quantised:
    """A matrix of integers that are there already.

    Args:
        integers: [rows, columns], of whole blocks.
        scales: [rows, blocks].
        zeros: Zero points, whole numbers [rows, blocks].
        form: Its format, not a symmetric one.
    """
    in_blocks = integers.reshape(*scales.shape, form.block_size)
    return Quantised(_pack(in_blocks, form.bits), scales, _pack(zeros.astype(np.uint8), form.bits))


def beside(left: Quantised, right: Quantised, form: BlockFormat) -> Quantised:
    """Two matrices of as many rows as one, whose blocks are those of the left one and then those of the right one."""
    zeros = [_zero_points(part, form) for part in (left, right)]
    return Quantised(
        np.concatenate([left.packed, right.packed], axis=1),
        np.concatenate([left.scales, right.scales], axis=1),
        None if form.symmetric else _pack(np.concatenate(zeros, axis=1), form.bits),
    )


def dequantise(quantised: Quantised, form: BlockFormat, columns: int) -> FloatArray:
    """The matrix [rows, columns] that a quantised one stands for."""
    values = _unpack(quantised.packed, form.bits).astype(np.float32)
    values -= _zero_points(quantised, form).astype(np.float32)[..., None]
    values *= quantised.scales[..., None]
    return values.reshape(len(values), -1)[:, :columns]


def _zero_points(quantised: Quantised, form: BlockFormat) -> ByteArray:
    """[rows, blocks], stored or not."""
    if quantised.zero_points is None:
        return np.full(quantised.scales.shape, (form.top + 1) // 2, np.uint8)
    return _unpack(quantised.zero_points, form.bits)[:, : quantised.scales.shape[1]]


def quantise_rows(matrix: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Quantise a matrix [rows, columns] in `RowFormat`: int8 values of the same shape, and scales [rows]."""
    scales = (largest(matrix, axis=1) / _INT8_TOP).astype(np.float32)
    stored = matrix * _inverse(scales)[:, None]
    return np.rint(stored, out=stored).astype(np.int8), scales


def largest(matrix: FloatArray, axis: int) -> FloatArray:
    """The largest absolute value along an axis, found without a copy of the matrix."""
    found: FloatArray = np.maximum(matrix.max(axis=axis), -matrix.min(axis=axis))
    return found


def _in_blocks(matrix: FloatArray, form: BlockFormat) -> FloatArray:
    rows, columns = matrix.shape
    num_blocks = form.blocks(columns)
    padding = num_blocks * form.block_size - columns
    if padding:
        matrix = np.pad(matrix, ((0, 0), (0, padding)))
    return matrix.reshape(rows, num_blocks, form.block_size)


def _ranges(blocks: FloatArray, form: BlockFormat) -> tuple[FloatArray, FloatArray]:
    """Scale and zero point [rows, blocks] of each block."""
    if form.symmetric:
        return _symmetric_range(blocks, form)
    if form.bits == 8:
        return _affine_range(blocks, form)
    # With few steps it pays to try both: the symmetric range keeps what Q4_0 stored without loss. Searching further
    # where all columns count alike brings less squared error, yet is no nearer to the original (mean KL 0.227, 0.223).
    return _nearest(blocks, [_symmetric_range(blocks, form), _affine_range(blocks, form)], form)


def _symmetric_range(blocks: FloatArray, form: BlockFormat) -> tuple[FloatArray, FloatArray]:
    middle = (form.top + 1) // 2
    # The negative side has one step more: let the extreme value of each block use it (as ggml's Q4_0 does).
    lowest, highest = blocks.min(axis=2), blocks.max(axis=2)
    extreme = np.where(-lowest > highest, lowest, highest)
    scales = (extreme / -middle).astype(np.float32)
    return scales, np.full(scales.shape, middle, np.float32)


def _affine_range(blocks: FloatArray, form: BlockFormat) -> tuple[FloatArray, FloatArray]:
    lowest = np.minimum(blocks.min(axis=2), 0.0)
    highest = np.maximum(blocks.max(axis=2), 0.0)
    scales = ((highest - lowest) / form.top).astype(np.float32)
    return scales, np.rint(-lowest * _inverse(scales)).astype(np.float32)


def _nearest(
    blocks: FloatArray, candidates: Sequence[tuple[FloatArray, FloatArray]], form: BlockFormat
) -> tuple[FloatArray, FloatArray]:
    """Of some ranges, for each block the one with the least squared error."""
    errors = [_squared_error(blocks, scales, zeros, form) for scales, zeros in candidates]
    best = np.argmin(errors, axis=0)[None]
    scales, zeros = (np.take_along_axis(np.stack(parts), best, axis=0)[0] for parts in zip(*candidates, strict=True))
    return scales, zeros


def _squared_error(blocks: FloatArray, scales: FloatArray, zeros: FloatArray, form: BlockFormat) -> FloatArray:
    values = _stored(blocks, scales, zeros, form)
    values -= zeros[..., None]
    values *= scales[..., None]
    values -= blocks
    error: FloatArray = np.einsum("ijk,ijk->ij", values, values)
    return error


def _searched(
    blocks: FloatArray, scales: FloatArray, zeros: FloatArray, importance: FloatArray, form: BlockFormat
) -> tuple[FloatArray, FloatArray]:
    """Scales and zero points that are no worse than given ones, by an importance [blocks, block_size]."""
    step = max(1, _SEARCHED_AT_ONCE // importance.size)
    fits = [
        _search(blocks[at : at + step], scales[at : at + step], zeros[at : at + step], importance, form)
        for at in range(0, len(blocks), step)
    ]
    return np.concatenate([fit.scales for fit in fits]), np.concatenate([fit.zeros for fit in fits])


def _search(
    blocks: FloatArray, scales: FloatArray, zeros: FloatArray, importance: FloatArray, form: BlockFormat
) -> _Fit:
    weighted = blocks * importance
    best = _fitted(blocks, weighted, scales, zeros, importance, form)
    for tried in _candidates(blocks, form):
        best = _better(best, _fitted(blocks, weighted, *tried, importance, form))
    for _ in range(_REFITS):
        best = _better(best, _fitted(blocks, weighted, best.scales, best.zeros, importance, form))
    return best


def _candidates(blocks: FloatArray, form: BlockFormat) -> Iterator[tuple[FloatArray, FloatArray]]:
    lowest, highest = np.minimum(blocks.min(axis=2), 0.0), np.maximum(blocks.max(axis=2), 0.0)
    _, middle = _affine_range(blocks, form)
    for move in _MOVES:
        zeros = np.clip(middle + np.float32(move), 0, form.top)
        whole = np.maximum(highest * _inverse(form.top - zeros), -lowest * _inverse(zeros))
        for reach in _REACHES:
            yield whole * np.float32(reach), zeros


def _fitted(
    blocks: FloatArray,
    weighted: FloatArray,
    scales: FloatArray,
    zeros: FloatArray,
    importance: FloatArray,
    form: BlockFormat,
) -> _Fit:
    """Round to integers by some scales, and fit the scales to the integers by least squares."""
    integers = _stored(blocks, scales, zeros, form)
    integers -= zeros[..., None]
    products = np.einsum("ijk,ijk->ij", integers, weighted)
    squares = np.einsum("ijk,jk->ij", np.square(integers, out=integers), importance)
    fitted = products * _inverse(squares)
    return _Fit(fitted, zeros, products * fitted)


def _better(best: _Fit, other: _Fit) -> _Fit:
    """For each block the fit with the greater gain."""
    better = other.gain > best.gain
    return _Fit(*(np.where(better, new, old) for old, new in zip(best, other, strict=True)))


def _stored(blocks: FloatArray, scales: FloatArray, zeros: FloatArray, form: BlockFormat) -> FloatArray:
    """The stored values, as whole float32 numbers."""
    stored = blocks * _inverse(scales)[..., None]
    stored += zeros[..., None]
    np.clip(np.rint(stored, out=stored), 0, form.top, out=stored)
    return stored


def _inverse(scales: FloatArray) -> FloatArray:
    inverse: FloatArray = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    return inverse


def _pack(values: ByteArray, bits: int) -> ByteArray:
    if bits == 8:
        return values
    if values.shape[-1] % 2:
        values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 1)])
    packed: ByteArray = values[..., 0::2] | (values[..., 1::2] << np.uint8(4))
    return packed


def _unpack(packed: ByteArray, bits: int) -> ByteArray:
    if bits == 8:
        return packed
    values = np.empty((*packed.shape[:-1], 2 * packed.shape[-1]), np.uint8)
    np.bitwise_and(packed, np.uint8(15), out=values[..., 0::2])
    np.right_shift(packed, np.uint8(4), out=values[..., 1::2])
    return values
