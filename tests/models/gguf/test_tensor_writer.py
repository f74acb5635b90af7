"""Tensors beside a graph: written by a thread of their own, and read as onnx reads them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from obeaver.models.gguf.writer import TensorWriter
from obeaver.models.record import sha256_of

ARRAYS: dict[str, npt.NDArray[np.generic]] = {
    "small": np.arange(5, dtype=np.int64),
    "large": np.random.default_rng(1).standard_normal((70, 33)).astype(np.float32),
    "transposed": np.arange(6000, dtype=np.int8).reshape(60, 100).T,
    "next": np.random.default_rng(2).integers(0, 255, (1, 5000)).astype(np.uint8),
}


def read(folder: Path, tensor: TensorProto) -> npt.NDArray[np.generic]:
    if tensor.data_location == TensorProto.EXTERNAL:
        load_external_data_for_tensor(tensor, str(folder))
    return numpy_helper.to_array(tensor)


def test_every_array_is_read_as_it_was_given(tmp_path: Path) -> None:
    with TensorWriter(tmp_path) as writer:
        for name, array in ARRAYS.items():
            writer.add(name, array)
    for tensor in writer.tensors:
        assert np.array_equal(read(tmp_path, tensor), ARRAYS[tensor.name])
    assert [tensor.name for tensor in writer.tensors] == list(ARRAYS)


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    """With what fills up pages, and small arrays between those that are waited for."""
    with TensorWriter(tmp_path) as writer:
        for number in range(3):
            writer.add(f"large {number}", np.full(3_000_001, number, np.int8))
            writer.add(f"small {number}", np.full(5_001, number, np.int8))
        writer.add_chunks("pieces", np.int8, (2, 3000), iter(np.ones((2, 1, 3000), np.int8)))
    assert writer.sha256 == sha256_of(tmp_path / "model.onnx.data")


def test_large_arrays_begin_on_a_page(tmp_path: Path) -> None:
    with TensorWriter(tmp_path) as writer:
        for name, array in ARRAYS.items():
            writer.add(name, array)
    info = [onnx.external_data_helper.ExternalDataInfo(tensor) for tensor in writer.tensors if tensor.external_data]
    assert [(place.offset or 0) % 4096 for place in info] == [0, 0, 0]


def test_pieces_may_be_used_again_once_all_are_given(tmp_path: Path) -> None:
    """What they lie in is overwritten: with the next but one, and with all when the method is back."""
    rows = np.random.default_rng(3).standard_normal((40, 2, 3000)).astype(np.float32)
    places = [np.empty((2, 3000), np.float32) for _ in range(2)]

    def pieces() -> Iterator[npt.NDArray[np.float32]]:
        for i, piece in enumerate(rows):
            places[i % 2][:] = piece
            yield places[i % 2]

    with TensorWriter(tmp_path) as writer:
        writer.add_chunks("pieces", np.float32, (80, 3000), pieces())
        for place in places:
            place[:] = 0
        writer.add_view("view", "pieces", (40, 2, 3000))
    assert [np.array_equal(read(tmp_path, tensor).reshape(rows.shape), rows) for tensor in writer.tensors] == [True] * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("size", [2_000, 2_000_000])
def test_what_could_not_be_written_is_told_at_the_end(tmp_path: Path, size: int) -> None:
    (tmp_path / "model.onnx.data").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), TensorWriter(tmp_path) as writer:
        writer.add("array", np.zeros(size, np.uint8))
