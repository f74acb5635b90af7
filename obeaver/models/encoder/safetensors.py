"""Reads safetensors files: a length, a JSON header, then the numbers. Source: the format's specification, version 0.7.

The file is mapped into memory, so only what is asked for is read.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from obeaver.errors import ModelError
from obeaver.utf8 import NotUtf8, read_utf8

FloatArray = npt.NDArray[np.float32]

SINGLE_FILE: Final = "model.safetensors"
SHARD_INDEX: Final = "model.safetensors.index.json"
_LENGTH_BYTES: Final = 8
# The specification's own limit.
_MAX_HEADER_BYTES: Final = 100_000_000
_TYPES: Final = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class Tensors:
    """The tensors of one or several files, by name.

    Args:
        files: Read in this order; of two tensors with one name the later counts.

    Raises:
        ModelError: A file is missing or broken.
    """

    def __init__(self, *files: Path) -> None:
        self._where: dict[str, tuple[_File, Mapping[str, Any]]] = {}
        for path in files:
            file = _File(path)
            self._where |= {name: (file, entry) for name, entry in file.entries.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def names(self) -> list[str]:
        """All names."""
        return list(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor.

        Raises:
            ModelError: There is no such tensor, or its entry is broken.
        """
        file, entry = self._find(name)
        shape = entry.get("shape")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ModelError(f"{file.path}: the tensor {name} has no shape")
        return tuple(shape)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """One tensor, or some of its rows, as float32.

        Args:
            name: Its name.
            start: First row.
            stop: Row after the last; None is the end.

        Raises:
            ModelError: There is no such tensor, or it holds no floats.
        """
        file, entry = self._find(name)
        return file.read(name, entry, start, stop)

    def _find(self, name: str) -> "tuple[_File, Mapping[str, Any]]":
        if name not in self._where:
            raise ModelError(f"the weights have no tensor {name}")
        return self._where[name]


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a model folder; none where it has no safetensors.

    Raises:
        ModelError: The index of several files is broken.
    """
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    index = folder / SHARD_INDEX
    if not index.is_file():
        return []
    try:
        names = sorted(set(json.loads(read_utf8(index))["weight_map"].values()))
        # By their words alone: a name must not lead out of the folder.
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files elsewhere")
    except NotUtf8 as error:
        raise ModelError(f"{index} {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read: {error}") from error
    return [folder / name for name in names]


class _File:
    """One file, mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._data = np.memmap(path, np.uint8, mode="r")
            length = int.from_bytes(self._data[:_LENGTH_BYTES].tobytes(), "little")
            if length > min(len(self._data) - _LENGTH_BYTES, _MAX_HEADER_BYTES):
                raise ValueError("its header is longer than the file")
            self._start = _LENGTH_BYTES + length
            header = json.loads(self._data[_LENGTH_BYTES : self._start].tobytes())
            self.entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            if not all(isinstance(entry, dict) for entry in self.entries.values()):
                raise ValueError("an entry of its header is no object")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error

    def read(self, name: str, entry: Mapping[str, Any], start: int = 0, stop: int | None = None) -> FloatArray:
        try:
            dtype = np.dtype(_TYPES[entry["dtype"]]).newbyteorder("<")
            begin, end = (self._start + offset for offset in entry["data_offsets"])
            if not self._start <= begin <= end <= len(self._data):
                raise ValueError("it lies outside the file")
            shape = list(entry["shape"])
            if start or stop is not None:
                row_bytes = math.prod(shape[1:]) * dtype.itemsize
                stop = shape[0] if stop is None else stop
                begin, end, shape[0] = begin + start * row_bytes, begin + stop * row_bytes, stop - start
            values = np.frombuffer(self._data[begin:end].tobytes(), dtype)
            return _as_float32(values, is_bfloat=entry["dtype"] == "BF16").reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{self.path}: the tensor {name} cannot be read: {error}") from error


def _as_float32(values: npt.NDArray[Any], *, is_bfloat: bool) -> FloatArray:
    if is_bfloat:  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
