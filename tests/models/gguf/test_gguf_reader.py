import contextlib
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.tiny_gguf import FURTHER_TYPES, TYPES, TinyGguf

from obeaver.errors import ModelError
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.reader import GgufFile

SMALL = TinyGguf(hidden=32, ffn=32, heads=1, kv_heads=1, head_dim=32, layers=1, vocab=264)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("gguf") / "small.gguf")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def header(pairs: list[bytes], tensors: list[bytes], *, version: int = 3) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(tensors)


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "made.gguf"
    path.write_bytes(data)
    return path


def test_metadata_of_every_kind_become_python_values(tmp_path: Path) -> None:
    pairs = [
        pair("u8", 0, struct.pack("<B", 200)),
        pair("i16", 3, struct.pack("<h", -300)),
        pair("f32", 6, struct.pack("<f", 0.5)),
        pair("flag", 7, b"\1"),
        pair("words", 9, struct.pack("<IQ", 8, 2) + text("añb") + text("")),
        pair("numbers", 9, struct.pack("<IQ3i", 5, 3, 1, -2, 3)),
        pair("u64", 10, struct.pack("<Q", 1 << 40)),
        pair("f64", 12, struct.pack("<d", -0.25)),
    ]
    file = GgufFile(write(tmp_path, header(pairs, [])))
    assert dict(file.metadata) == {
        "u8": 200,
        "i16": -300,
        "f32": 0.5,
        "flag": True,
        "words": ["añb", ""],
        "numbers": [1, -2, 3],
        "u64": 1 << 40,
        "f64": -0.25,
    }


@pytest.mark.parametrize("kind", [*TYPES, *FURTHER_TYPES])
def test_every_storage_type_reads_as_the_package_that_defines_it_reads_it(tmp_path: Path, kind: str) -> None:
    path = TinyGguf(type=kind, layers=1).write(tmp_path / "tiny.gguf")
    file = GgufFile(path)
    for stored in gguf.GGUFReader(path).tensors:
        expected = gguf.quants.dequantize(stored.data, stored.tensor_type).reshape(file.tensors[stored.name].shape)
        assert np.array_equal(file.read(stored.name), expected)


def split(number: object, count: object) -> list[bytes]:
    pairs = {"split.no": number, "split.count": count}
    return [
        pair(key, 8, text(value)) if isinstance(value, str) else pair(key, 2, struct.pack("<H", value))
        for key, value in pairs.items()
    ]


@pytest.mark.parametrize(
    ("number", "count", "reason"),
    [
        (0, 2, "part 1 of 2 of a model: call it NAME-00001-of-00002.gguf"),
        (4, 5, "part 5 of 5 of a model"),
        ("0", 2, "split.no and split.count are not numbers"),
        (0, "2", "split.no and split.count are not numbers"),
    ],
)
def test_a_part_of_a_model_is_refused_by_its_number(tmp_path: Path, number: object, count: object, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        GgufFile(write(tmp_path, header(split(number, count), [])))


def test_the_only_part_of_a_model_is_all_of_it(tmp_path: Path) -> None:
    assert GgufFile(write(tmp_path, header(split(0, 1), []))).metadata["split.count"] == 1


def test_some_rows_are_those_rows_of_the_whole(small: Path) -> None:
    file = GgufFile(small)
    whole = file.read("token_embd.weight")
    assert np.array_equal(file.read("token_embd.weight", 5, 9), whole[5:9])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"GGML" + bytes(40), "does not begin with the letters GGUF"),
        (header([], [], version=1), "version 1"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 0), "announces 1152921504606846976 entries"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 62), "announces 4611686018427387904 entries"),
        (header([text("k") + struct.pack("<I", 77)], []), "no value type 77"),
        (header([pair("k", 0, b"\1"), pair("k", 0, b"\2")], []), "'k' occurs twice"),
        (header([pair("k", 8, struct.pack("<Q", 2) + b"\xff\xfe")], []), "not UTF-8"),
        (header([pair("k", 8, struct.pack("<Q", 1 << 50))], []), "in the middle of its header"),
        (header([pair("k", 9, struct.pack("<IQ", 8, 1 << 23))], []), "announces 8388608 entries"),
        (header([pair("k", 9, struct.pack("<IQ", 0, 1 << 63))], []), "over the limit"),
        (header([pair("k", 9, struct.pack("<IQ", 9, 1) + bytes(64))], []), "arrays of value type 9"),
        (header([], [tensor("t", (4,)), tensor("t", (4,))]) + bytes(64), "'t' occurs twice"),
        (header([], [tensor("t", (1 << 40, 1 << 40))]), "the data of t reach to byte"),
        (header([], [tensor("t", (4,), offset=1 << 63)]) + bytes(64), "the data of t reach to byte"),
        (header([], [tensor("t", (4,), kind=999)]) + bytes(64), "type 999, which does not exist"),
        (header([], [tensor("t", (4, 0))]) + bytes(64), "has the shape [0, 4]"),
        (header([], [tensor("t", (1,) * 5)]) + bytes(64), "has 5 dimensions"),
        (header([], [tensor("t", (40,), kind=8)]) + bytes(64), "which blocks of 32 (Q8_0) do not fill"),
        (header([pair("general.alignment", 4, struct.pack("<I", 3))], []), "general.alignment is 3"),
        (header([pair("general.alignment", 4, struct.pack("<I", 0))], []), "general.alignment is 0"),
    ],
)
def test_a_broken_file_is_refused_and_the_reason_said(tmp_path: Path, data: bytes, said: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(ModelError) as refused:
        GgufFile(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.gguf: cannot be read"):
        GgufFile(tmp_path / "missing.gguf")


def test_a_file_cut_off_anywhere_is_refused(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    for length in {*range(1, 400), *range(400, len(whole), 997), len(whole) - 1}:
        path = write(tmp_path, whole[:length])
        with pytest.raises(ModelError):
            GgufFile(path)


def test_a_storage_type_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    file = GgufFile(write(tmp_path, header([], [tensor("t", (32,), kind=24)]) + bytes(256)))
    with pytest.raises(ModelError, match="t is stored as I8, which is not supported"):
        file.read("t")


def test_a_header_that_lies_about_lengths_takes_no_memory(tmp_path: Path) -> None:
    lies = struct.pack("<IQ", 8, (1 << 24) - 1)
    path = write(tmp_path, header([pair("k", 9, lies)], []) + bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ModelError):
        GgufFile(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(0, 2500), st.integers(0, 255), min_size=1, max_size=6))
def test_a_header_with_changed_bytes_is_read_or_refused(small: Path, tmp_path: Path, changes: dict[int, int]) -> None:
    data = bytearray(small.read_bytes())
    for place, value in changes.items():
        data[place] = value
    path = write(tmp_path, bytes(data))
    # Whatever was changed: a description or a ModelError, nothing else.
    with contextlib.suppress(ModelError):
        assert read_architecture(GgufFile(path)).hidden_size == SMALL.hidden
