"""Blocks that are taken apart here come out as the package `gguf` takes them apart, to the bit."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from obeaver.errors import ModelError
from obeaver.models.gguf.dequantise import FOUR_BIT_BLOCK, FOUR_BIT_TYPES, dequantise, four_bit_blocks
from obeaver.models.gguf.reader import GgufFile

# Where blocks have factors in float16; all other bytes may be anything.
FACTORS = {"Q4_0": (0,), "Q4_1": (0, 2), "Q8_0": (0,), "Q4_K": (0, 2), "Q6_K": (208,), "Q5_K": (0, 2), "IQ4_NL": (0,)}
ROWS, BLOCKS = 24, 3


def stored(kind: str, seed: int = 0) -> np.ndarray:
    """Rows of random blocks, with factors of all sizes and signs."""
    random = np.random.default_rng(seed)
    size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]
    blocks = random.integers(0, 256, (ROWS * BLOCKS, size), dtype=np.uint8)
    for at in FACTORS[kind]:
        factors = random.standard_normal(len(blocks)) * 10.0 ** random.integers(-6, 4, len(blocks))
        blocks[:, at : at + 2] = factors.astype(np.float16)[:, None].view(np.uint8)
    return blocks.reshape(ROWS, -1)


@pytest.mark.parametrize("kind", FACTORS)
def test_values_are_those_of_the_package_to_the_bit(kind: str) -> None:
    raw = stored(kind)
    found = dequantise(raw, GGMLQuantizationType[kind])
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, dequantize(raw, GGMLQuantizationType[kind]), strict=True)


@pytest.mark.parametrize("kind", sorted(kind.name for kind in FOUR_BIT_TYPES))
def test_blocks_of_four_bits_come_apart_into_what_the_values_are_made_of(kind: str) -> None:
    raw = stored(kind)
    integers, scales, offsets = four_bit_blocks(raw, GGMLQuantizationType[kind])
    assert integers.dtype == np.uint8
    assert (integers.min(), integers.max()) == (0, 15)
    scales, offsets = (np.repeat(part, FOUR_BIT_BLOCK, axis=1) for part in (scales, offsets))
    found = scales * integers + offsets
    np.testing.assert_array_equal(found, dequantize(raw, GGMLQuantizationType[kind]), strict=True)


@pytest.mark.parametrize("kind", FACTORS)
def test_rows_cut_out_of_wider_ones_are_the_same(kind: str) -> None:
    wide = np.pad(stored(kind), ((0, 0), (1, 3)))
    cut = np.ascontiguousarray(wide[:, 1:-3])
    np.testing.assert_array_equal(
        dequantise(cut, GGMLQuantizationType[kind]), dequantize(cut, GGMLQuantizationType[kind])
    )


@pytest.mark.parametrize("factor", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", FACTORS)
def test_a_block_whose_factor_is_no_number_is_told_by_its_tensor(tmp_path: Path, kind: str, factor: float) -> None:
    raw = stored(kind)
    at = FACTORS[kind][0]
    raw[5, at : at + 2] = np.array([factor], np.float16).view(np.uint8)
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.ffn_up.weight", raw, raw_dtype=GGMLQuantizationType[kind])
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    file = GgufFile(path)
    assert np.isfinite(file.read("blk.0.ffn_up.weight", 0, 5)).all()
    with pytest.raises(ModelError, match=r"blk\.0\.ffn_up\.weight has weights that are no numbers"):
        file.read("blk.0.ffn_up.weight")
    if GGMLQuantizationType[kind] in FOUR_BIT_TYPES:
        assert np.isfinite(file.read_blocks("blk.0.ffn_up.weight", 0, 5).offsets).all()
        with pytest.raises(ModelError, match=r"blk\.0\.ffn_up\.weight has weights that are no numbers"):
            file.read_blocks("blk.0.ffn_up.weight", 0, ROWS)
