"""Headers of safetensors from anybody: read, or refused in one line, and never more memory than the file explains."""

import contextlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obeaver.errors import ModelError
from obeaver.models.encoder.safetensors import SINGLE_FILE, Tensors

DATA = bytes(range(48))
GOOD: dict[str, Any] = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}
HUGE = 1 << 62


def write(folder: Path, header: bytes, length: int | None = None) -> Path:
    path = folder / SINGLE_FILE
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + DATA)
    return path


def read_all(path: Path) -> None:
    weights = Tensors(path)
    for name in weights.names():
        weights.shape(name)
        weights.read(name)


HEADERS = [
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"[1, 2]",
    b"null",
    b'{"w": 5}',
    b'{"w": [1]}',
    b"\xff\xfe",
    *(
        json.dumps({"w": GOOD | change}).encode()
        for change in (
            {"data_offsets": [0, 49]},
            {"data_offsets": [-8, 40]},
            {"data_offsets": [40, 8]},
            {"data_offsets": [0, HUGE]},
            {"data_offsets": [0.5, 48]},
            {"data_offsets": [0]},
            {"shape": [HUGE, HUGE]},
            {"shape": [-3, -4]},
            {"shape": "3"},
            {"shape": [3, 5]},
            {"dtype": "F3"},
            {"dtype": ["F32"]},
            {"dtype": None},
        )
    ),
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_header_that_lies_is_refused_in_one_line(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(ModelError) as raised:
        read_all(write(tmp_path, header))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [HUGE, (1 << 64) - 1, 10_000])
def test_an_absurd_length_takes_no_memory(tmp_path: Path, length: int) -> None:
    path = write(tmp_path, b"{}", length)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="longer than the file"):
            Tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["F32", "BF16"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(list(GOOD)), VALUES, max_size=2), entry=st.none() | VALUES)
def test_any_entry_is_read_or_refused(tmp_path: Path, changes: dict[str, Any], entry: object) -> None:
    header = {"w": GOOD | changes} | ({} if entry is None else {"v": entry})
    path = write(tmp_path, json.dumps(header).encode())
    with contextlib.suppress(ModelError):
        read_all(path)
