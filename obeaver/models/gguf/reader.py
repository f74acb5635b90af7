"""Reads GGUF files without trusting them.

The format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): a header with counts, key-value pairs, a table
of tensors, then the tensors' data at aligned offsets. Every length is checked against what is left of the file before
anything is allocated, so a hostile header costs no more memory than the file's own size explains.

Tensor data stay in the file, memory-mapped, until somebody asks for some of their rows.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from obeaver.errors import ModelError
from obeaver.models.gguf.dequantise import FourBitBlocks, dequantise, four_bit_blocks
from obeaver.models.split_files import parts_of

FloatArray = npt.NDArray[np.float32]

SUPPORTED_TYPES: Final = frozenset(
    GGMLQuantizationType[name]
    for name in (
        *("F32", "F16", "BF16"),
        *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
        *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
        *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),
        *("TQ1_0", "TQ2_0", "MXFP4", "NVFP4"),
    )
)
"""All that the package `gguf` can turn into float32."""

FLOAT32: Final = GGMLQuantizationType.F32
"""How tensors of other formats are told of, which are read as float32."""

_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MAX_DIMENSIONS: Final = 4
# Vocabularies are the longest arrays in real files, at most a few hundred thousand entries.
_MAX_ARRAY: Final = 1 << 24
_BOOL: Final = 7
_STRING: Final = 8
_ARRAY: Final = 9
# Value type number -> struct code; gguf.md, `gguf_metadata_value_type`.
_SCALARS: Final[Mapping[int, str]] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "?", 10: "Q", 11: "q", 12: "d"}
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the file declares it, checked against the file's size.

    Attributes:
        name: Such as `blk.0.attn_q.weight`.
        shape: Outermost dimension first, as numpy has it; GGUF stores it the other way round.
        type: How the elements are stored.
        offset: Where its data start in the file.
        num_bytes: How long they are.
        part: Number of the file, from 0, of a model that is in several.
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    num_bytes: int
    part: int = 0

    @property
    def num_rows(self) -> int:
        """Product of all dimensions but the innermost."""
        return math.prod(self.shape[:-1])


class TensorFile(Protocol):
    """What holds a model: its keys and tensors under GGUF's names, whatever the format on disk."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def metadata(self) -> Mapping[str, object]:
        """Key-value pairs."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Tensors by name."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """See `GgufFile.read`."""


class GgufFile:
    """An open GGUF file, or all parts of one that was split; the mappings close with the last reference to it.

    Attributes:
        path: Where it is; of several parts the first.
        metadata: Its key-value pairs as Python values: int, float, bool, str, and lists of these.
        tensors: Its tensors by name.

    Args:
        path: The file, or any part of it.

    Raises:
        ModelError: The file cannot be read, or is not a whole GGUF file; the message says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        paths = parts_of(path)
        self.path = paths[0]
        self._parts = [_Part(part, number, len(paths)) for number, part in enumerate(paths)]
        self.metadata: Mapping[str, object] = MappingProxyType(self._parts[0].metadata)
        tensors: dict[str, TensorInfo] = {}
        for part in self._parts:
            for name, info in part.tensors.items():
                if name in tensors:
                    raise ModelError(f"{part.path}: the tensor {name!r} is in another part of the model too")
                tensors[name] = info
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(tensors)

    def let_go(self) -> None:
        """Give back the memory that holds what was read so far; where that is asked for again, it is read again."""
        for part in self._parts:
            if hasattr(part.mapped, "madvise"):  # not on Windows
                part.mapped.madvise(mmap.MADV_DONTNEED)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Some rows of a tensor, dequantised.

        Args:
            name: A key of `tensors`.
            start: First row.
            stop: Row after the last; None is the end.

        Returns:
            [rows, columns], or [columns] for a tensor of one dimension.

        Raises:
            ModelError: The tensor's type is not supported, or it has infinite weights, or some that are no numbers.
        """
        info = self.tensors[name]
        if info.type not in SUPPORTED_TYPES:
            raise ModelError(f"{self.path}: {name} is stored as {info.type.name}, which is not supported")
        with np.errstate(invalid="ignore", over="ignore"):
            values = dequantise(self._raw(info, start, info.num_rows if stop is None else stop), info.type)
        self._check_finite(name, values)
        return values.reshape(-1) if len(info.shape) == 1 else values

    def read_blocks(self, name: str, start: int, stop: int) -> FourBitBlocks:
        """Some rows of a tensor of one of `dequantise.FOUR_BIT_TYPES`, as they are stored.

        Args:
            name: A key of `tensors`.
            start: First row.
            stop: Row after the last.

        Raises:
            ModelError: The tensor has infinite scales or offsets, or some that are no numbers.
        """
        info = self.tensors[name]
        with np.errstate(invalid="ignore", over="ignore"):
            blocks = four_bit_blocks(self._raw(info, start, stop), info.type)
        self._check_finite(name, blocks.scales, blocks.offsets)
        return blocks

    def _raw(self, info: TensorInfo, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Bytes of some rows of a tensor: [rows, bytes of a row]."""
        row_bytes = info.num_bytes // info.num_rows
        first, end = (info.offset + row * row_bytes for row in (start, stop))
        return self._parts[info.part].data[first:end].reshape(stop - start, row_bytes)

    def _check_finite(self, name: str, *values: FloatArray) -> None:
        if not all(np.isfinite(some).all() for some in values):
            raise ModelError(f"{self.path}: {name} has weights that are no numbers: the file is damaged")


def num_weights(path: Path) -> int | None:
    """How many weights a GGUF file has; None for one that is broken, since its import says what is wrong with it."""
    try:
        return sum(math.prod(info.shape) for info in GgufFile(path).tensors.values())
    except ModelError:
        return None


class _Part:
    """One mapped file."""

    def __init__(self, path: Path, number: int, count: int) -> None:
        self.path = path
        try:
            with path.open("rb") as raw:
                self.mapped = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
            self.data: npt.NDArray[np.uint8] = np.frombuffer(self.mapped, np.uint8)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise ModelError(f"{path}: cannot be read as GGUF: {error}") from error
        try:
            cursor = _Cursor(self.data.data)
            num_tensors, num_pairs = _read_header(cursor)
            self.metadata = _read_metadata(cursor, num_pairs)
            _check_part(self.metadata, number, count)
            self.tensors = _read_tensor_table(cursor, num_tensors, self.metadata, number)
        except _Broken as error:
            raise ModelError(f"{path}: not a usable GGUF file: {error}") from error


class _Broken(Exception):
    """The bytes are not a GGUF file; the text says where it went wrong."""


class _Cursor:
    """Takes values off the front of the file; never past its end."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.position

    def take(self, num_bytes: int) -> memoryview:
        if num_bytes > self.left:
            raise _Broken(f"it ends at byte {len(self._data)}, in the middle of its header")
        self.position += num_bytes
        return self._data[self.position - num_bytes : self.position]

    def numbers(self, code: str, count: int = 1) -> tuple[int | float | bool, ...]:
        form = struct.Struct(f"<{self.count(count, struct.calcsize(f'<{code}'))}{code}")
        return form.unpack(self.take(form.size))

    def integer(self, code: str) -> int:
        return int(self.numbers(code)[0])

    def text(self) -> str:
        raw = self.take(self.integer("Q"))
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            raise _Broken(f"the text at byte {self.position - len(raw)} is not UTF-8") from None

    def count(self, count: int, min_bytes_each: int) -> int:
        """Check a count of things to come against what is left of the file."""
        if count * min_bytes_each > self.left:
            raise _Broken(f"it announces {count} entries at byte {self.position}, more than the file can hold")
        return count


def _read_header(cursor: _Cursor) -> tuple[int, int]:
    if bytes(cursor.take(4)) != b"GGUF":
        raise _Broken("it does not begin with the letters GGUF")
    version = cursor.integer("I")
    if version not in _VERSIONS:
        raise _Broken(f"version {version} is not one of {', '.join(map(str, _VERSIONS))}")
    # A tensor entry takes at least 8+4+8+4+8 bytes, a pair 8+4+1.
    return cursor.count(cursor.integer("Q"), 32), cursor.count(cursor.integer("Q"), 13)


def _read_metadata(cursor: _Cursor, num_pairs: int) -> dict[str, object]:
    metadata: dict[str, object] = {}
    for _ in range(num_pairs):
        key = cursor.text()
        if key in metadata:
            raise _Broken(f"the key {key!r} occurs twice")
        metadata[key] = _read_value(cursor, cursor.integer("I"))
    return metadata


def _read_value(cursor: _Cursor, kind: int) -> object:
    if kind == _STRING:
        return cursor.text()
    if kind == _ARRAY:
        return _read_array(cursor)
    if kind not in _SCALARS:
        raise _Broken(f"there is no value type {kind}, as byte {cursor.position - 4} has it")
    return cursor.numbers(_SCALARS[kind])[0]


def _read_array(cursor: _Cursor) -> list[object]:
    kind, length = cursor.integer("I"), cursor.integer("Q")
    if length > _MAX_ARRAY:
        raise _Broken(f"an array of {length} entries is over the limit of {_MAX_ARRAY}")
    if kind in _SCALARS:
        return list(cursor.numbers(_SCALARS[kind], length))
    if kind == _STRING:
        return [cursor.text() for _ in range(cursor.count(length, 8))]
    raise _Broken(f"arrays of value type {kind} are not supported")


def _check_part(metadata: Mapping[str, object], number: int, count: int) -> None:
    """See that a file is the part that its name says: https://github.com/ggml-org/llama.cpp/discussions/6404."""
    found, of = metadata.get("split.no", 0), metadata.get("split.count", 0)
    if not isinstance(found, int) or not isinstance(of, int):
        raise _Broken("its split.no and split.count are not numbers")
    if max(of, 1) == count and found == number:
        return
    if count == 1:
        name = f"NAME-{found + 1:05d}-of-{of:05d}.gguf"
        raise _Broken(f"it is part {found + 1} of {of} of a model: call it {name}, and put the other parts beside it")
    raise _Broken(f"its name says part {number + 1} of {count}, and its header part {found + 1} of {max(of, 1)}")


def _read_tensor_table(
    cursor: _Cursor, num_tensors: int, metadata: Mapping[str, object], part: int
) -> dict[str, TensorInfo]:
    entries = [_read_tensor_entry(cursor) for _ in range(num_tensors)]
    alignment = _alignment(metadata)
    base = -(-cursor.position // alignment) * alignment
    end = cursor.position + cursor.left
    tensors: dict[str, TensorInfo] = {}
    for name, shape, kind, offset in entries:
        if name in tensors:
            raise _Broken(f"the tensor {name!r} occurs twice")
        tensors[name] = info = TensorInfo(name, shape, kind, base + offset, _size_in_bytes(name, shape, kind), part)
        if info.offset + info.num_bytes > end:
            raise _Broken(f"the data of {name} reach to byte {info.offset + info.num_bytes}, the file ends at {end}")
    return tensors


def _read_tensor_entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], GGMLQuantizationType, int]:
    name = cursor.text()
    num_dimensions = cursor.integer("I")
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
        raise _Broken(f"{name} has {num_dimensions} dimensions")
    shape = tuple(int(size) for size in reversed(cursor.numbers("Q", num_dimensions)))
    if min(shape) < 1:
        raise _Broken(f"{name} has the shape {list(shape)}")
    number = cursor.integer("I")
    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        raise _Broken(f"{name} is stored as type {number}, which does not exist") from None
    return name, shape, kind, cursor.integer("Q")


def _size_in_bytes(name: str, shape: tuple[int, ...], kind: GGMLQuantizationType) -> int:
    block, block_bytes = GGML_QUANT_SIZES[kind]
    if shape[-1] % block:
        raise _Broken(f"{name} has rows of {shape[-1]}, which blocks of {block} ({kind.name}) do not fill")
    return math.prod(shape) // block * block_bytes


def _alignment(metadata: Mapping[str, object]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _Broken(f"general.alignment is {alignment!r}, not a power of two")
    return alignment
