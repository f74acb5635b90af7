"""Every family of decoders, small and random, against the independent forward pass, and to the bit."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from reference.forward import Reference
from reference.shared_buffers import Rows, open_session, prefill
from reference.tiny_gguf import DENSE, MIXTURES, TinyGguf, Value

from obeaver.models.fidelity import folder_logits

ImportTiny = Callable[..., Path]
NUM_TOKENS = 96
YARN: Mapping[str, Value] = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 64,
}
SMALL = TinyGguf(hidden=64, ffn=96, heads=4, kv_heads=2, head_dim=32, context=128, seed=3)
FAMILIES = {
    **{family: replace(SMALL, architecture=family) for family in DENSE},
    **{f"{family} experts": replace(SMALL, architecture=family, experts=4) for family in MIXTURES},
    # As many layers as the pattern of windows or of rotation takes, and a window shorter than the text.
    **{
        family: replace(SMALL, architecture=family, layers=layers, metadata={"attention.sliding_window": 32})
        for family, layers in {"gemma2": 2, "gemma3": 7, "olmo2": 4}.items()
    },
    "smollm3": replace(SMALL, architecture="smollm3", layers=4),
}
VARIANTS = {
    "a head of its own": replace(SMALL, architecture="gemma3", tied=False),
    "heads wider than their share": replace(SMALL, architecture="seed_oss", head_dim=64),
    "heads that are padded": replace(SMALL, architecture="qwen3", hidden=80, head_dim=20),
    "heads that are padded, and norms of all": replace(SMALL, architecture="olmo2", head_dim=24),
    "heads that are padded, after rotation": replace(SMALL, architecture="hunyuan-dense", head_dim=40),
    "one key head": replace(SMALL, architecture="command-r", kv_heads=1),
    "pairs of a part of each head": replace(SMALL, architecture="ernie4_5", metadata={"rope.dimension_count": 12}),
    "halves of a part of each head": replace(SMALL, architecture="qwen2", metadata={"rope.dimension_count": 20}),
    "pairs of a part of padded heads": replace(
        SMALL, architecture="glm4", head_dim=20, metadata={"rope.dimension_count": 10}
    ),
    "yarn": replace(SMALL, metadata=YARN),
    "yarn of halves": replace(SMALL, architecture="gpt-oss", experts=4, metadata={**YARN, "rope.freq_base": 500.0}),
    "temperature": replace(
        SMALL,
        architecture="mistral3",
        metadata={**YARN, "attention.temperature_scale": 0.5, "rope.scaling.yarn_log_multiplier": 1.0},
    ),
    "longrope": replace(
        SMALL,
        architecture="phi3",
        metadata={"rope.scaling.type": "longrope", "rope.scaling.attn_factor": 1.2},
        vectors={
            f"rope_factors_{which}.weight": np.linspace(1, last, 16, dtype=np.float32)
            for which, last in (("short", 2), ("long", 40))
        },
    ),
    "biases of stacked matrices": replace(SMALL, architecture="phi3", biases=("attn_qkv", "ffn_up")),
    "scales and a head of its own": replace(SMALL, architecture="granite", tied=False),
    "experts scaled": replace(SMALL, architecture="qwen3moe", experts=5),
}
ALL = {**FAMILIES, **VARIANTS}
TEXT = [int(n) for n in np.random.default_rng(7).integers(0, 261, NUM_TOKENS)]

FLOAT_TOLERANCE = 1e-5
# Random weights make errors grow from layer to layer: a Llama of four layers has 0.24.
INT8_TOLERANCE = 0.3


@pytest.fixture(params=ALL)
def tiny(request: pytest.FixtureRequest) -> TinyGguf:
    return ALL[request.param]


def logits(folder: Path) -> npt.NDArray[np.float32]:
    return np.concatenate(list(folder_logits(folder / "model.onnx", TEXT)))


def test_float32_weights_give_the_references_logits(import_tiny: ImportTiny, tiny: TinyGguf) -> None:
    folder = import_tiny(tiny)
    expected = Reference(folder.parent / "source.gguf").logits(TEXT)
    error = np.abs(logits(folder) - expected).max()
    assert error < FLOAT_TOLERANCE * max(1.0, np.abs(expected).max())


def test_int8_is_near_the_reference_and_the_same_to_the_bit_however_it_is_computed(
    import_tiny: ImportTiny, tiny: TinyGguf
) -> None:
    folder = import_tiny(tiny, weights="int8", kv="int8")
    expected = Reference(folder.parent / "source.gguf").logits(TEXT)
    assert (logits(folder) - expected).std() < INT8_TOLERANCE * expected.std()
    session = open_session(folder)
    whole, row = prefill(session, TEXT, NUM_TOKENS, NUM_TOKENS)
    for chunk in (1, 7, 64):
        chunked, other = prefill(session, TEXT, chunk, NUM_TOKENS)
        assert np.array_equal(chunked, whole), f"chunks of {chunk}"
        assert other.cache(0, NUM_TOKENS) == row.cache(0, NUM_TOKENS), f"chunks of {chunk}"
    lengths = [5, 40, 90]
    together = Rows(session, len(lengths), NUM_TOKENS)
    for index, length in enumerate(lengths):
        together.copy_row(row, index, length)
    found = together.run([[TEXT[length]] for length in lengths], [length + 1 for length in lengths])
    for index, length in enumerate(lengths):
        assert np.array_equal(found[index][-1], whole[length]), f"a row of {length} tokens"
