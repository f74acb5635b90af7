"""Writes an ONNX model whose tensors lie in a data file beside it, one after the other, never all in memory."""

from collections.abc import Iterable, Sequence
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
GRAPH_FILE: Final = "model.onnx"
DATA_FILE: Final = "model.onnx.data"

Array = npt.NDArray[np.generic]


class TensorWriter:
    """Collects initializers: small ones inside the graph, large ones in `model.onnx.data`."""

    def __init__(self, folder: Path) -> None:
        self.tensors: list[TensorProto] = []
        self._file: BinaryIO = (folder / DATA_FILE).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, array: Array) -> str:
        """Store one array; returns its name."""
        if array.nbytes < _SMALL:
            self.tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
            return name
        return self.add_chunks(name, array.dtype, array.shape, [array])

    def add_chunks(self, name: str, dtype: npt.DTypeLike, shape: Sequence[int], chunks: Iterable[Array]) -> str:
        """Store an array that comes in pieces along its first dimension; returns its name."""
        self._file.seek(-(-self._file.tell() // _PAGE) * _PAGE)
        start = self._file.tell()
        for chunk in chunks:
            self._file.write(np.ascontiguousarray(chunk).data)
        self.tensors.append(_external(name, dtype, shape, start, self._file.tell() - start))
        return name

    def add_view(self, name: str, of: str, shape: Sequence[int]) -> str:
        """Another tensor over the same bytes as the stored tensor `of`; returns its name."""
        source = next(tensor for tensor in self.tensors if tensor.name == of)
        view = TensorProto()
        view.CopyFrom(source)
        view.name = name
        view.dims[:] = shape
        self.tensors.append(view)
        return name


def _external(name: str, dtype: npt.DTypeLike, shape: Sequence[int], offset: int, length: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA_FILE), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor
