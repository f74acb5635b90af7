"""An import in int4 as rows of int8, for computing: what is stored small is computed fast.

Processors multiply bytes. onnxruntime's kernels for blocks of 4 bits take them apart for each product, and do not use
the tiles (AMX) that its products of int8 rows do: a prompt of 128 tokens took 3.5 times as long with a model of 1.7
billion weights. So where there is memory for it, the matrices of a stored graph are taken apart once, when the model is
loaded, and rounded to rows of int8, turned as an import in int8 has them (`rotation.py`):

    MatMulNBits(x, blocks)  ->  MatMulIntegerToFloat(rounded(turned(x)), rows)

Columns that stand for the offsets of blocks (`block_offsets.py`) go back to where they came from.

The file beside the graph has the integers of rows alone. The runtime lays them out anew and lets go of the file, which
can then be removed; all that it reads where it stands, such as the table of embeddings, is in the graph.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper

from obeaver.allocator import keeping_freed
from obeaver.models.gguf import block_offsets
from obeaver.models.gguf.decoder import PRODUCER
from obeaver.models.gguf.graph import Nodes
from obeaver.models.gguf.importer import WEIGHTS
from obeaver.models.gguf.quantize import BlockFormat, FloatArray, Quantised, RowFormat, dequantise, quantise_rows
from obeaver.models.gguf.rotation import rotated
from obeaver.models.gguf.row_products import RowProducts
from obeaver.models.gguf.workers import Workers
from obeaver.models.gguf.writer import DATA_FILE, GRAPH_FILE, TensorWriter
from obeaver.threads import default_threads

_PRODUCT: Final = "MatMulNBits"
_BIAS: Final = 5
_LAYER: Final = "blk."
_INT8: Final = WEIGHTS["int8"]
# Elements that are taken apart at once: 512 KiB of float32, which stay in a processor's cache.
_PIECE_ELEMENTS: Final = 1 << 17
_CACHE_LINE: Final = 64


def write_as_int8(graph: Path, target: Path) -> Path | None:
    """Write an import in int4 as one whose matrices are rows of int8.

    Args:
        graph: The stored graph.
        target: An empty folder.

    Returns:
        The graph there; None where another program made the stored one.

    Raises:
        OSError: The folder cannot be written, as where a disk is full.
        ValueError: The stored graph is broken.
    """
    model = onnx.load(graph, load_external_data=False)
    if model.producer_name != PRODUCER:
        return None
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    rewriting = _Rewriting(lambda name: _array(stored[name], graph.parent))
    nodes = _needed(rewriting.nodes(model.graph.node), [value.name for value in model.graph.output])
    with keeping_freed(), TensorWriter(target, lasts=False) as writer, Workers(default_threads()) as workers:
        rows = list(_write(rewriting.matrices, writer, workers))
    made = {tensor.name: tensor for tensor in (*writer.tensors, *rows, *rewriting.constants.tensors.values())}
    read = {name for node in nodes for name in node.input} - made.keys()
    kept = [_whole(tensor, graph.parent) for name, tensor in stored.items() if name in read]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([*kept, *made.values()])
    (target / GRAPH_FILE).write_bytes(model.SerializeToString())
    return target / GRAPH_FILE


def _array(tensor: TensorProto, folder: Path) -> npt.NDArray[Any]:
    """The values of an initializer; what lies in a file is not read before it is used."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return onnx.numpy_helper.to_array(tensor)
    where = {entry.key: entry.value for entry in tensor.external_data}
    if where["location"] != DATA_FILE or (folder / DATA_FILE).is_symlink():
        raise ValueError(f"{tensor.name} lies outside of {DATA_FILE}")
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    offset, shape = int(where.get("offset", 0)), tuple(tensor.dims)
    return np.asarray(np.memmap(folder / DATA_FILE, kind, "r", offset, shape))


def _whole(tensor: TensorProto, folder: Path) -> TensorProto:
    """A tensor that has its values with it."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return tensor
    return onnx.numpy_helper.from_array(_array(tensor, folder), tensor.name)


def _needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """Those that outputs depend on, in their order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A matrix on its way from blocks to rows.

    Attributes:
        integers: Name of its integers, [columns, rows].
        scales: Name of its scales, [rows].
        blocks: What it is made of.
        rotates: Whether its columns are turned.
    """

    integers: str
    scales: str
    blocks: "_Blocks"
    rotates: bool

    def begin(self, workers: Workers) -> Callable[[], tuple[npt.NDArray[np.int8], FloatArray]]:
        """Begin to make it; gives what waits for integers and scales."""
        num_rows, columns = self.blocks.rows, self.blocks.columns
        integers, scales = np.empty((columns, num_rows), np.int8), np.empty(num_rows, np.float32)

        def make(rows: slice) -> None:
            piece = self.blocks.floats(rows)
            values, scales[rows] = quantise_rows(rotated(piece) if self.rotates else piece)
            integers[:, rows] = values.T

        # As many rows as lines of the processor's caches have bytes, or the transposed rows would be written in halves.
        step = max(_CACHE_LINE, _PIECE_ELEMENTS // columns // _CACHE_LINE * _CACHE_LINE)
        wait = workers.start_many(make, [slice(at, min(at + step, num_rows)) for at in range(0, num_rows, step)])

        def made() -> tuple[npt.NDArray[np.int8], FloatArray]:
            wait()
            return integers, scales

        return made


def _write(matrices: Iterable[_Matrix], writer: TensorWriter, workers: Workers) -> Iterator[TensorProto]:
    """Write integers, while the next matrix is made; gives the scales."""
    begun: deque[tuple[_Matrix, Callable[[], tuple[npt.NDArray[np.int8], FloatArray]]]] = deque()

    def written() -> TensorProto:
        matrix, made = begun.popleft()
        integers, scales = made()
        writer.add(matrix.integers, integers)
        return onnx.numpy_helper.from_array(scales, matrix.scales)

    for matrix in matrices:
        begun.append((matrix, matrix.begin(workers)))
        if len(begun) > 1:
            yield written()
    while begun:
        yield written()


class _Constants:
    """Small constants that are added, each once.

    An object of its own: in a circle with `_Rewriting`, the files that matrices are read from would stay mapped.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, TensorProto] = {}

    def add(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """Add one; whatever import has it, a name has one meaning."""
        if name not in self.tensors:
            self.tensors[name] = onnx.numpy_helper.from_array(values, name)
        return name


class _Rewriting:
    """Puts products of rows in the place of products of blocks.

    Attributes:
        matrices: What has to be made for that.
        constants: Small ones, beside those.
    """

    def __init__(self, stored: Callable[[str], npt.NDArray[Any]]) -> None:
        self.matrices: list[_Matrix] = []
        self.constants = _Constants()
        self._stored = stored
        self._products = RowProducts(self.constants.add)
        self._zeros = ""

    def nodes(self, nodes: Sequence[NodeProto]) -> list[NodeProto]:
        """All nodes of a graph, rewritten where they are products of blocks."""
        rewritten = Nodes()
        without_sums = block_offsets.without_sums(nodes, self._stored)
        for node in nodes:
            if node.op_type == _PRODUCT:
                x, columns = without_sums.get(node.input[0], (node.input[0], 0))
                self._rewrite(node, _Blocks(node, self._stored, columns), x, rewritten)
            else:
                rewritten.protos.append(node)
        return rewritten.protos

    def _rewrite(self, node: NodeProto, blocks: "_Blocks", x: str, nodes: Nodes) -> None:
        name, bias = node.output[0], next(iter(node.input[_BIAS:]), "")
        if node.name.startswith(_LAYER):
            # All tokens of a run share this tensor of zero points, whatever the matrix.
            zeros = self._zeros = self._zeros or self._products.zeros(nodes, "activation_zeros", x)
            form = _INT8.of(node.name)
        else:
            zeros, form = self._products.zeros(nodes, "wanted_zeros", x), _INT8.head
        rotates = isinstance(form, RowFormat) and form.rotated
        matrix = _Matrix(f"{name}.integers", f"{name}.row_scales", blocks, rotates)
        self.matrices.append(matrix)
        names = [matrix.integers, matrix.scales]
        self._products.product(nodes, name, x, names, blocks.columns, zeros, rotated=rotates, bias=bias)


class _Blocks:
    """The matrix of one MatMulNBits.

    Args:
        node: The node.
        stored: Gives its constants.
        columns: How many it has without rests of blocks; 0 where it has no rests.

    Attributes:
        rows: Of the matrix.
        columns: Of the matrix.
    """

    def __init__(self, node: NodeProto, stored: Callable[[str], npt.NDArray[Any]], columns: int) -> None:
        given: Mapping[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        self.rows: int = given["N"]
        self.columns: int = columns or given["K"]
        self._all_columns: int = given["K"]
        has_zeros = any(node.input[3:4])
        self._form = BlockFormat(given["bits"], given["block_size"], symmetric=not has_zeros)
        num_blocks = self._form.blocks(self._all_columns)
        packed, self._scales = (stored(name).reshape(self.rows, -1) for name in node.input[1:3])
        self._packed = packed.reshape(self.rows, num_blocks, -1)
        self._zeros = stored(node.input[3]).reshape(self.rows, -1) if has_zeros else None

    def floats(self, rows: slice) -> FloatArray:
        """Some rows of it: [rows, columns]."""
        zeros = None if self._zeros is None else self._zeros[rows]
        values = dequantise(Quantised(self._packed[rows], self._scales[rows], zeros), self._form, self._all_columns)
        return values if self.columns == self._all_columns else block_offsets.without_rests(values, self.columns)
