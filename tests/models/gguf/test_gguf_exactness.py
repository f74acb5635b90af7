"""What an engine may rely on, to the bit: how a text is cut, and what runs beside it, changes nothing.

An int8 cache makes even decode and prefill equal. With a float32 cache, attention over one new token is summed in
another order than over several, so that these differ in the last bits; all else is equal there too.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from reference.shared_buffers import Rows, open_session, prefill
from reference.tiny_gguf import ARCHITECTURES, TinyGguf

from obeaver.processor import few_bit_rows_vary

ImportTiny = Callable[..., Path]
NUM_TOKENS = 300


# Products of 4 bits with one block behind fours and with none, of blocks as the file has them and of searched ones.
TINY = [
    *(TinyGguf(architecture, "Q4_1", context=400) for architecture in ARCHITECTURES),
    TinyGguf("llama", "Q4_1", context=400, hidden=320, ffn=608, heads=5, kv_heads=1),
    TinyGguf("llama", "Q4_K", context=400, types={"attn_v": "Q6_K", "ffn_down": "Q6_K"}),
]


@pytest.fixture(params=TINY, ids=lambda tiny: f"{tiny.architecture} {tiny.type} {tiny.hidden}")
def tiny(request: pytest.FixtureRequest) -> TinyGguf:
    made: TinyGguf = request.param
    return made


@pytest.fixture
def text() -> list[int]:
    return [int(n) for n in np.random.default_rng(5).integers(0, 261, NUM_TOKENS)]


@pytest.fixture(params=["int8", "int4"])
def weights(request: pytest.FixtureRequest) -> str:
    if request.param == "int4" and few_bit_rows_vary():
        pytest.skip("without VNNI, onnxruntime's products with 4 bits depend on the number of rows in their last bits")
    return str(request.param)


def session_of(import_tiny: ImportTiny, tiny: TinyGguf, weights: str, kv: str) -> ort.InferenceSession:
    return open_session(import_tiny(tiny, weights=weights, kv=kv))


@pytest.mark.parametrize(("kv", "chunks"), [("int8", (1, 7, 64, 128, 256, 299)), ("float32", (2, 7, 64, 128, 256))])
def test_a_text_computed_in_chunks_is_the_text_computed_at_once(
    import_tiny: ImportTiny, tiny: TinyGguf, weights: str, text: list[int], kv: str, chunks: tuple[int, ...]
) -> None:
    session = session_of(import_tiny, tiny, weights, kv)
    # A last chunk of one token is decode: with a float32 cache it is left out.
    length = NUM_TOKENS if kv == "int8" else NUM_TOKENS - 2
    whole, row = prefill(session, text[:length], length, NUM_TOKENS)
    for chunk in chunks:
        logits, chunked = prefill(session, text[:length], chunk, NUM_TOKENS)
        assert np.array_equal(logits, whole), f"chunks of {chunk}"
        assert chunked.cache(0, length) == row.cache(0, length), f"chunks of {chunk}"


@pytest.mark.parametrize("kv", ["int8", "float32"])
@pytest.mark.parametrize("num_rows", [2, 3, 5, 8, 16])
def test_a_row_decoded_among_others_is_the_row_decoded_alone(
    import_tiny: ImportTiny, tiny: TinyGguf, weights: str, text: list[int], kv: str, num_rows: int
) -> None:
    session = session_of(import_tiny, tiny, weights, kv)
    lengths = [5 + 17 * row for row in range(num_rows)]
    alone = [prefill(session, text[row : row + length], length, NUM_TOKENS)[1] for row, length in enumerate(lengths)]
    together = Rows(session, num_rows, NUM_TOKENS)
    for row, length in enumerate(lengths):
        together.copy_row(alone[row], row, length)
    for step in range(1, 5):
        token_ids = [[(step * 37 + row * 11) % 260] for row in range(num_rows)]
        counts = [length + step for length in lengths]
        logits = together.run(token_ids, counts)
        for row in range(num_rows):
            assert np.array_equal(logits[row], alone[row].run([token_ids[row]], [counts[row]])[0])
    for row, length in enumerate(lengths):
        assert together.cache(row, length + 4) == alone[row].cache(0, length + 4)
