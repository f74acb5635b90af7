"""Weights stored beside the graph: as float32, in blocks of few bits, or as rows of int8.

Rows of int8 meet activations that are rounded to int8 as well, with one scale for each token. Such a product is a sum
of integers: exact, so the same in whatever order and beside whatever other tokens it is computed, and what processors
multiply fastest. Both sides are turned first, so that rounding loses little: see `rotation.py`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from obeaver.models.gguf import block_offsets
from obeaver.models.gguf.graph import MICROSOFT, Nodes
from obeaver.models.gguf.quantize import (
    FEW_BITS,
    INT8_ACTIVATIONS,
    BlockFormat,
    Quantised,
    RowFormat,
    quantise,
    quantise_rows,
)
from obeaver.models.gguf.reader import FloatArray
from obeaver.models.gguf.rotation import rotated
from obeaver.models.gguf.row_products import RowProducts
from obeaver.models.gguf.stored_experts import StoredExperts
from obeaver.models.gguf.weights import EMBEDDING, HEAD, Weights
from obeaver.models.gguf.writer import TensorWriter

Result = TypeVar("Result")
_ATTENTION_OUTPUT: Final = ".attn_output"
_VALUES: Final = ".attn_v"


@dataclass(frozen=True, slots=True)
class MatrixFormats:
    """How the matrices of a model are stored; None is float32.

    Attributes:
        layers: Projections inside the layers.
        head: The head.
        embedding: The embedding; one table with the head where the model ties them and both have this format.
        attention_output: The projections of what attention found, whose inputs have no channels that stand out.
        values: The projections to attention's values; those of the layers where these keep a file's blocks as they are.
        experts: The matrices of experts.
    """

    layers: BlockFormat | RowFormat | None
    head: BlockFormat | RowFormat | None
    embedding: BlockFormat | None
    attention_output: BlockFormat | RowFormat | None
    values: BlockFormat | RowFormat | None
    experts: BlockFormat | None

    @property
    def has_rows(self) -> bool:
        """Whether activations are rounded too, so that it matters how large they become."""
        return isinstance(self.layers, RowFormat) or isinstance(self.head, RowFormat)

    @property
    def has_few_bits(self) -> bool:
        """Whether weights have so few bits that it matters which of them meet large activations."""
        return isinstance(self.layers, BlockFormat) and self.layers.bits == FEW_BITS

    def of(self, part: str) -> BlockFormat | RowFormat | None:
        """The format of one matrix of a layer, such as `blk.3.ffn_down`."""
        if part.endswith(_VALUES):
            return self.values
        return self.attention_output if part.endswith(_ATTENTION_OUTPUT) else self.layers


def num_stored(weights: Weights, formats: MatrixFormats) -> int:
    """How many weights of matrices will be stored; a tied table counts twice where it is stored in two formats."""
    model = weights.model
    twice = model.tied_head and formats.head != formats.embedding
    return weights.num_matrix_elements + (model.vocab_size * model.hidden_size if twice else 0)


class StoredParameters:
    """Writes each weight when the graph first asks for it.

    Args:
        weights: Where they come from.
        writer: Where they go.
        formats: How matrices are stored. Vectors stay float32.
        tied_head: The embedding is the head.
        advance: Told how many weights were written.
    """

    def __init__(
        self,
        weights: Weights,
        writer: TensorWriter,
        formats: MatrixFormats,
        *,
        tied_head: bool,
        advance: Callable[[int], None],
    ) -> None:
        self._weights = weights
        self._writer = writer
        self._formats = formats
        self._head = EMBEDDING if tied_head and formats.head == formats.embedding else HEAD
        self._advance = advance
        self._stored: set[str] = set()
        self._zeros = ""
        self._products = RowProducts(self.array)
        self._with_sums: dict[str, str] = {}

    def array(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """See `graph.Parameters`."""
        if self._is_new(name):
            self._writer.add(name, values)
        return name

    def vector(self, name: str) -> str:
        """See `graph.Parameters`."""
        return self.array(name, self._weights.vector(name)) if self._weights.has(name) else ""

    def values(self, name: str) -> FloatArray:
        """See `graph.Parameters`."""
        return self._weights.vector(name)

    def linear(self, nodes: Nodes, name: str, x: str, parts: Sequence[str]) -> str:
        """See `graph.Parameters`."""
        alike = [(form, list(some)) for form, some in groupby(parts, self._form_of)]
        if len(alike) == 1:
            return self._linear(nodes, name, x, parts, alike[0][0])
        products = [self._linear(nodes, f"{name}.{i}", x, some, form) for i, (form, some) in enumerate(alike)]
        return nodes.one(name, "Concat", *products, axis=-1)

    def embed(self, nodes: Nodes, ids: str) -> str:
        """See `graph.Parameters`."""
        if self._formats.embedding is None:
            return nodes.one("embedding", "Gather", self._float_matrix(EMBEDDING, [EMBEDDING]), ids, axis=0)
        return self._block_lookup(nodes, ids, self._formats.embedding)

    def head(self, nodes: Nodes, name: str, x: str) -> str:
        """See `graph.Parameters`."""
        parts, form = [self._head], self._formats.head
        bias = self.array("head.bias", self._weights.bias([HEAD])) if self._weights.has_bias([HEAD]) else ""
        if form is None:
            return self._float_product(nodes, name, x, self._float_matrix(self._head, parts), bias)
        if isinstance(form, RowFormat):
            zeros = self._products.zeros(nodes, "wanted_zeros", x)
            matrix = self._row_matrix(self._head, parts, form)
            width = self._weights.num_columns(parts)
            return self._products.product(nodes, name, x, matrix, width, zeros, rotated=form.rotated, bias=bias)
        return self._block_product(nodes, name, x, self._block_matrix(self._head, parts, form), parts, form, bias)

    def scores(self, nodes: Nodes, name: str, x: str, part: str) -> str:
        """See `graph.Parameters`."""
        return self._linear(nodes, name, x, [part], None)

    def experts(self, nodes: Nodes, name: str, x: str, scores: str, prefix: str, attributes: Mapping[str, Any]) -> str:
        """See `graph.Parameters`."""
        return StoredExperts(self._weights, self._writer, self._formats.experts, self._advance).add(
            nodes, name, x, scores, prefix, attributes
        )

    def _linear(
        self, nodes: Nodes, name: str, x: str, parts: Sequence[str], form: BlockFormat | RowFormat | None
    ) -> str:
        """`linear` of matrices in one format."""
        bias_name = self.array(f"{name}.bias", self._weights.bias(parts)) if self._weights.has_bias(parts) else ""
        if form is None:
            return self._float_product(nodes, name, x, self._float_matrix(name, parts), bias_name)
        if isinstance(form, RowFormat):
            # All tokens of a run share this tensor of zero points, whatever the matrix.
            self._zeros = self._zeros or self._products.zeros(nodes, "activation_zeros", x)
            matrix, width = self._row_matrix(name, parts, form), self._weights.num_columns(parts)
            return self._products.product(
                nodes, name, x, matrix, width, self._zeros, rotated=form.rotated, bias=bias_name
            )
        return self._block_product(nodes, name, x, self._block_matrix(name, parts, form), parts, form, bias_name)

    def _form_of(self, part: str) -> BlockFormat | RowFormat | None:
        """The format of one matrix of a layer: its own, or the layers' where that keeps it as the file has it."""
        form = self._formats.layers
        return form if self._keeps_blocks(part, form) else self._formats.of(part)

    def _keeps_blocks(self, part: str, form: BlockFormat | RowFormat | None) -> bool:
        return form == block_offsets.FORMAT and self._weights.has_blocks(part)

    def _has_rests(self, parts: Sequence[str], form: BlockFormat) -> bool:
        return any(self._keeps_blocks(part, form) and self._weights.has_offsets(part) for part in parts)

    def _is_new(self, name: str) -> bool:
        new = name not in self._stored
        self._stored.add(name)
        return new

    def _shape(self, parts: Sequence[str]) -> tuple[int, int]:
        return self._weights.num_rows(parts), self._weights.num_columns(parts)

    def _pieces(self, parts: Sequence[str], work: Callable[[FloatArray, int], Result]) -> Iterator[Result]:
        """What some work makes of each piece of some matrices; it is told which row of all of them comes first."""
        return self._places(parts, lambda part, rows, start: work(self._weights.piece(part, rows), start))

    def _places(self, parts: Sequence[str], work: Callable[[str, range, int], Result]) -> Iterator[Result]:
        """As `_pieces`, for work that reads the rows of a part itself."""
        weights, places = self._weights, list(self._weights.places(parts))
        results = weights.workers.map_many(lambda place: work(*place), places)
        for place, result in zip(places, results, strict=True):
            self._advance(len(place[1]) * weights.num_columns(parts))
            yield result

    def _float_matrix(self, name: str, parts: Sequence[str]) -> str:
        name = f"{name}.weight"
        if self._is_new(name):
            pieces = self._pieces(parts, lambda piece, _: piece)
            self._writer.add_chunks(name, np.float32, self._shape(parts), pieces)
        return name

    def _float_product(self, nodes: Nodes, name: str, x: str, matrix: str, bias: str) -> str:
        product = f"{name}.product" if bias else name
        nodes.one(product, "FusedMatMul", x, matrix, domain=MICROSOFT, transB=1)
        return nodes.one(name, "Add", product, bias) if bias else name

    def _row_matrix(self, name: str, parts: Sequence[str], form: RowFormat) -> list[str]:
        """Quantise and store matrices, transposed; returns the names of values [columns, rows] and scales [rows]."""
        names = [f"{name}.integers", f"{name}.scales"]
        if self._is_new(names[0]):
            rows, columns = self._shape(parts)
            integers, scales = np.empty((columns, rows), np.int8), np.empty(rows, np.float32)

            def store(piece: FloatArray, start: int) -> None:
                stop = start + len(piece)
                values, scales[start:stop] = quantise_rows(rotated(piece) if form.rotated else piece)
                integers[:, start:stop] = values.T

            deque(self._pieces(parts, store), maxlen=0)
            self._writer.add(names[0], integers)
            self._writer.add(names[1], scales)
        return names

    def _block_matrix(self, name: str, parts: Sequence[str], form: BlockFormat) -> list[str]:
        """Quantise and store matrices once; returns the names of packed values, scales and, if any, zero points."""
        names = [f"{name}.packed", f"{name}.scales"] + ([] if form.symmetric else [f"{name}.zero_points"])
        if not self._is_new(names[0]):
            return names
        rows, columns = self._shape(parts)
        has_rests, importance = self._has_rests(parts, form), self._weights.importance(parts[0])
        num_blocks = form.blocks(columns + (block_offsets.num_further(columns) if has_rests else 0))
        others: list[tuple[npt.NDArray[np.generic], ...]] = []

        def quantised(part: str, rows: range, _: int) -> Quantised:
            blocks = self._weights.blocks(part, rows) if self._keeps_blocks(part, form) else None
            if blocks is None:
                found = quantise(self._weights.piece(part, rows), form, importance)
                rests = np.zeros_like(found.scales)
            else:
                found, rests = block_offsets.kept(blocks)
            return block_offsets.with_rests(found, rests) if has_rests else found

        def packed() -> Iterator[npt.NDArray[np.uint8]]:
            for pieces in self._places(parts, quantised):
                others.append(tuple(piece for piece in pieces[1:] if piece is not None))
                yield pieces.packed

        shape = (rows, num_blocks, form.block_size * form.bits // 8)
        self._writer.add_chunks(names[0], np.uint8, shape, packed())
        for other, pieces in zip(names[1:], zip(*others, strict=True), strict=True):
            self._writer.add(other, np.concatenate(pieces))
        return names

    def _block_product(
        self,
        nodes: Nodes,
        name: str,
        x: str,
        matrix: Sequence[str],
        parts: Sequence[str],
        form: BlockFormat,
        bias: str = "",
    ) -> str:
        rows, columns = self._shape(parts)
        if self._has_rests(parts, form):
            if x not in self._with_sums:
                self._with_sums[x] = block_offsets.with_sums(nodes, self, x, columns)
            x, columns = self._with_sums[x], columns + block_offsets.num_further(columns)
        zero_points = matrix[2] if len(matrix) > 2 else ""
        inputs = [x, matrix[0], matrix[1], zero_points, "", bias]
        while not inputs[-1]:
            inputs.pop()
        return nodes.one(
            name,
            "MatMulNBits",
            *inputs,
            domain=MICROSOFT,
            N=rows,
            K=columns,
            bits=form.bits,
            block_size=form.block_size,
            accuracy_level=INT8_ACTIVATIONS,
        )

    def _block_lookup(self, nodes: Nodes, ids: str, form: BlockFormat) -> str:
        rows, columns = self._shape([EMBEDDING])
        matrix = self._block_matrix(EMBEDDING, [EMBEDDING], form)
        padded = form.blocks(columns) * form.block_size
        table = self._writer.add_view(f"{EMBEDDING}.table", matrix[0], (rows, padded * form.bits // 8))
        found = nodes.one(
            "embedding" if padded == columns else "embedding.padded",
            "GatherBlockQuantized",
            table,
            ids,
            *matrix[1:],
            domain=MICROSOFT,
            bits=form.bits,
            block_size=form.block_size,
            gather_axis=0,
            quantize_axis=1,
        )
        if padded == columns:
            return found
        bounds = [
            self.array(f"embedding.{key}", np.array([n], np.int64))
            for key, n in (("start", 0), ("stop", columns), ("axis", 2))
        ]
        return nodes.one("embedding", "Slice", found, *bounds)
