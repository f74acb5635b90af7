"""Writes an ONNX model whose tensors lie in a data file beside it, one after the other, never all in memory."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

# ONNX Runtime maps external tensors into memory where they begin on a page.
_PAGE: Final = 4096
_SMALL: Final = 1024
# One array of this size at a time, so that no more than two are in memory; what is smaller is not waited for.
_LARGE: Final = 1 << 20
GRAPH_FILE: Final = "model.onnx"
DATA_FILE: Final = "model.onnx.data"

# What is written is sent to the disk by and by, so that little is left to wait for at the end.
_SYNCED_TOGETHER: Final = 256 << 20

Array = npt.NDArray[np.generic]


class TensorWriter:
    """Collects initializers: small ones inside the graph, large ones in `model.onnx.data`.

    A thread of its own writes, so that the next array can be made meanwhile. What it could not write is told with the
    next array, or at the end of the `with` block. It hashes what it writes, which need not be read again for that.

    Args:
        folder: Where the file goes.
        lasts: Whether it is kept: then it is hashed, and on the disk at the end, whatever becomes of the machine.
    """

    def __init__(self, folder: Path, *, lasts: bool = True) -> None:
        self.tensors: list[TensorProto] = []
        self._file: BinaryIO = (folder / DATA_FILE).open("wb")
        self._lasts = lasts
        self._end = 0
        self._hash = hashlib.sha256()
        self._num_synced = 0
        self._thread = ThreadPoolExecutor(1, "write")
        self._sync_thread = ThreadPoolExecutor(1, "sync")
        self._syncing: Future[None] | None = None
        self._writing: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait()
                self._wait_for_disk()
        finally:
            self._thread.shutdown()
            self._sync_thread.shutdown()
            self._file.close()

    @property
    def sha256(self) -> str:
        """Of the whole data file, in hexadecimal; after the `with` block."""
        return self._hash.hexdigest()

    def add(self, name: str, array: Array) -> str:
        """Store one array, which must stay as it is; returns its name."""
        array = np.ascontiguousarray(array)
        if array.nbytes < _SMALL:
            self.tensors.append(onnx.numpy_helper.from_array(array, name))
            return name
        if array.nbytes >= _LARGE:
            self._wait()
        start = self._begin()
        self._write(array)
        return self._stored(name, array.dtype, array.shape, start)

    def add_chunks(self, name: str, dtype: npt.DTypeLike, shape: Sequence[int], chunks: Iterable[Array]) -> str:
        """Store an array that comes in pieces along its first dimension; returns its name.

        A piece must stay as it is until the next one is given.
        """
        start = self._begin()
        for chunk in chunks:
            self._wait()
            self._write(np.ascontiguousarray(chunk))
        self._wait()
        return self._stored(name, dtype, shape, start)

    def add_view(self, name: str, of: str, shape: Sequence[int]) -> str:
        """Another tensor over the same bytes as the stored tensor `of`; returns its name."""
        source = next(tensor for tensor in self.tensors if tensor.name == of)
        view = TensorProto()
        view.CopyFrom(source)
        view.name = name
        view.dims[:] = shape
        self.tensors.append(view)
        return name

    def _begin(self) -> int:
        """Where the next array starts."""
        self._end = -(-self._end // _PAGE) * _PAGE
        return self._end

    def _write(self, array: Array) -> None:
        self._writing.append(self._thread.submit(self._put, self._end, array))
        self._end += array.nbytes

    def _put(self, start: int, array: Array) -> None:
        for part in (bytes(start - self._file.tell()), array.data):  # a page's rest is zeros
            if self._lasts:
                self._hash.update(part)
            self._file.write(part)
        if self._lasts and self._file.tell() - self._num_synced >= _SYNCED_TOGETHER:
            self._wait_for_disk()
            self._num_synced = self._file.tell()
            self._syncing = self._sync_thread.submit(os.fsync, self._file.fileno())

    def _wait_for_disk(self) -> None:
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.result()

    def _wait(self) -> None:
        writing, self._writing = self._writing, []
        for future in writing:
            future.result()

    def _stored(self, name: str, dtype: npt.DTypeLike, shape: Sequence[int], start: int) -> str:
        self.tensors.append(_external(name, dtype, shape, start, self._end - start))
        return name


def _external(name: str, dtype: npt.DTypeLike, shape: Sequence[int], offset: int, length: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor
