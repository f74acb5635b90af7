"""Blocks of 4 bits as files store them, in the words of MatMulNBits.

A block of a file is `scale * integer + offset` (`dequantise.four_bit_blocks`), and one of MatMulNBits has a whole zero
point: `scale * (integer - zero)`. What is lost is the rest `offset + scale * zero` of each block, up to half a scale.
Its part of a product is the rest times the sum of the block's inputs. So sums of x, block by block, are further columns
of x, and rests further columns of the matrix, in blocks of 4 bits themselves:

    x W^T = [x, sums of x] [integers, rests]^T

That is one column more for every 32. The integers stay as they are, and one product is all that is computed.

Further columns fill whole blocks. onnxruntime's kernels take four blocks at a time, and what is left over one by one:
where that would be two or three, it is filled up to four. On two cores of an Intel Xeon with AVX-512 VNNI, a product of
480 tokens with 1,536 rows of 18, 19 and 20 blocks took 4.5, 5.5 and 4.0 ms.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from obeaver.models.gguf.dequantise import FOUR_BIT_BLOCK, FourBitBlocks
from obeaver.models.gguf.graph import LayerParameters, Nodes
from obeaver.models.gguf.quantize import BlockFormat, FloatArray, Quantised, beside, from_integers, quantise

FORMAT: Final = BlockFormat(bits=4, block_size=FOUR_BIT_BLOCK)
"""The format that holds a file's blocks as they are."""

_TAKEN_TOGETHER: Final = 4
_IN_BLOCKS: Final = ".in_blocks"
_WITH_SUMS: Final = ".with_sums"


def num_further(columns: int) -> int:
    """Columns that rests take beside so many others, with those that fill their blocks."""
    num_blocks = FORMAT.blocks(columns + columns // FOUR_BIT_BLOCK)
    left_over = num_blocks % _TAKEN_TOGETHER
    if left_over > 1:
        num_blocks += _TAKEN_TOGETHER - left_over
    return num_blocks * FOUR_BIT_BLOCK - columns


def without_sums(nodes: Iterable[NodeProto], constant: Callable[[str], npt.NDArray[Any]]) -> dict[str, tuple[str, int]]:
    """What `with_sums` was given in a graph: the tensor and its columns, by the name that it gave.

    Args:
        nodes: Of the graph.
        constant: Gives the value of one of its initializers.
    """
    shapes = {node.input[0]: constant(node.input[1]) for node in nodes if node.name.endswith(_IN_BLOCKS)}
    return {f"{x}{_WITH_SUMS}": (x, int(shape[2]) * FOUR_BIT_BLOCK) for x, shape in shapes.items()}


def without_rests(matrix: FloatArray, columns: int) -> FloatArray:
    """A matrix with rests as further columns, as the one [rows, columns] that it stands for."""
    num_blocks = columns // FOUR_BIT_BLOCK
    in_blocks = matrix[:, :columns].reshape(-1, num_blocks, FOUR_BIT_BLOCK)
    whole: FloatArray = in_blocks + matrix[:, columns : columns + num_blocks, None]
    return whole.reshape(-1, columns)


def kept(blocks: FourBitBlocks) -> tuple[Quantised, FloatArray]:
    """Integers and scales of a file as they are, in `FORMAT`, and rests [rows, blocks]."""
    scales, offsets = blocks.scales, blocks.offsets
    zeros = np.divide(-offsets, scales, out=np.zeros_like(scales), where=scales != 0)
    zeros = np.clip(np.rint(zeros, out=zeros), 0, FORMAT.top, out=zeros)
    return from_integers(blocks.integers, scales, zeros, FORMAT), offsets + scales * zeros


def with_rests(matrix: Quantised, rests: FloatArray) -> Quantised:
    """A matrix with its rests [rows, blocks] as further columns."""
    num_blocks = rests.shape[1]
    further = np.pad(rests, ((0, 0), (0, num_further(num_blocks * FOUR_BIT_BLOCK) - num_blocks)))
    return beside(matrix, quantise(further, FORMAT), FORMAT)


def with_sums(nodes: Nodes, parameters: LayerParameters, x: str, columns: int) -> str:
    """The tensor x [batch, tokens, columns] with the sums of its blocks as further columns."""
    num_blocks = columns // FOUR_BIT_BLOCK
    shape = np.array([0, 0, num_blocks, FOUR_BIT_BLOCK], np.int64)
    in_blocks = nodes.one(f"{x}{_IN_BLOCKS}", "Reshape", x, parameters.array(f"four_bit_blocks.{columns}", shape))
    axis = parameters.array("last_axis", np.array([-1], np.int64))
    sums = nodes.one(f"{x}.sums", "ReduceSum", in_blocks, axis, keepdims=0)
    if filling := num_further(columns) - num_blocks:
        pads = parameters.array(f"sums_filled.{columns}", np.array([0, 0, 0, 0, 0, filling], np.int64))
        sums = nodes.one(f"{x}.filled_sums", "Pad", sums, pads)
    return nodes.one(f"{x}{_WITH_SUMS}", "Concat", x, sums, axis=-1)
