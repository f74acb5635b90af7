"""Every family of decoders, small and random: against the independent forward pass, against llama.cpp, and to the bit.

`tests/data/llama_cpp/logits.npz` holds logits of llama.cpp (build 11434, on the CPU, float32 cache, no flash attention)
at some places of the text, for each of these models. Where it rounds, by its tables in float16 for GELU, they differ
from the forward pass by some thousandths; else by hundred thousandths.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from reference.forward import Reference
from reference.shared_buffers import Rows, open_session, prefill
from reference.tiny_gguf import DENSE, MIXTURES, TinyGguf, Value

from obeaver.models.fidelity import compare, folder_logits
from obeaver.models.gguf import import_gguf
from obeaver.models.gguf.families import FAMILIES as IMPORTED
from obeaver.models.progress import SilentProgress
from obeaver.onnx_outline import read_nodes

ImportTiny = Callable[..., Path]
NUM_TOKENS = 96
YARN: Mapping[str, Value] = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 64,
}
SMALL = TinyGguf(hidden=128, ffn=96, heads=4, kv_heads=2, head_dim=32, context=128, seed=3)
FAMILIES = {
    **{family: replace(SMALL, architecture=family) for family in DENSE},
    **{f"{family} experts": replace(SMALL, architecture=family, experts=4, tied=False) for family in MIXTURES},
    # As many layers as the pattern of windows or of rotation takes, and a window shorter than the text.
    **{
        family: replace(
            SMALL,
            architecture=family,
            layers=layers,
            tied=family != "olmo2",
            metadata={"attention.sliding_window": 32},
        )
        for family, layers in {"gemma2": 2, "gemma3": 7, "olmo2": 4}.items()
    },
    "smollm3": replace(SMALL, architecture="smollm3", layers=4),
}
VARIANTS = {
    "a head of its own": replace(SMALL, architecture="gemma3", tied=False),
    "heads wider than their share": replace(SMALL, architecture="seed_oss", head_dim=64),
    "heads that are padded": replace(SMALL, architecture="qwen3", hidden=80, head_dim=20),
    "heads that are padded, and norms of all": replace(SMALL, architecture="olmo2", hidden=96, head_dim=24, tied=False),
    "heads that are padded, after rotation": replace(SMALL, architecture="hunyuan-dense", head_dim=40),
    "one key head": replace(SMALL, architecture="command-r", kv_heads=1),
    "pairs of a part of each head": replace(SMALL, architecture="command-r", metadata={"rope.dimension_count": 12}),
    "halves of a part of each head": replace(SMALL, architecture="phi3", metadata={"rope.dimension_count": 20}),
    "pairs of a part of padded heads": replace(
        SMALL, architecture="glm4", head_dim=20, metadata={"rope.dimension_count": 10}
    ),
    "yarn": replace(SMALL, metadata=YARN),
    "yarn of halves": replace(
        SMALL, architecture="gpt-oss", experts=4, tied=False, metadata={**YARN, "rope.freq_base": 500.0}
    ),
    "temperature": replace(
        SMALL,
        architecture="mistral3",
        metadata={**YARN, "attention.temperature_scale": 0.5, "rope.scaling.yarn_log_multiplier": 1.0},
    ),
    "longrope": replace(
        SMALL,
        architecture="phi3",
        metadata={
            "rope.scaling.type": "longrope",
            "rope.scaling.attn_factor": 1.2,
            "rope.scaling.original_context_length": 256,
        },
        vectors={
            f"rope_factors_{which}.weight": np.linspace(1, last, 16, dtype=np.float32)
            for which, last in (("short", 2), ("long", 40))
        },
    ),
    "biases of stacked matrices": replace(SMALL, architecture="phi3", biases=("attn_qkv",)),
    "scales and a head of its own": replace(SMALL, architecture="granite", tied=False),
    "several experts for a token": replace(
        SMALL, architecture="qwen3moe", experts=9, metadata={"expert_used_count": 5}
    ),
}
ALL = {**FAMILIES, **VARIANTS}
TEXT = [int(n) for n in np.random.default_rng(7).integers(0, 261, NUM_TOKENS)]

FLOAT_TOLERANCE = 1e-5
LLAMA_CPP_KL = 1e-5
# Activations are rounded to float16 where weights are float16, which shows where logits are large.
ROUNDED_KL = 5e-5
RECORDED_PLACES = [0, 7, 15, 31, 47, 63, 79, 95]
with np.load(Path(__file__).parents[2] / "data" / "llama_cpp" / "logits.npz") as file:
    RECORDED = dict(file)
# Random weights make errors grow from layer to layer: a Llama of four layers has 0.24.
INT8_TOLERANCE = 0.3
INT4_TOLERANCE = 0.5


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def logits(folder: Path) -> npt.NDArray[np.float32]:
    return np.concatenate(list(folder_logits(folder / "model.onnx", TEXT)))


def test_float32_weights_give_the_references_logits_and_llama_cpps(import_tiny: ImportTiny, name: str) -> None:
    folder = import_tiny(ALL[name])
    found, expected = logits(folder), Reference(folder.parent / "source.gguf").logits(TEXT)
    assert np.abs(found - expected).max() < FLOAT_TOLERANCE * max(1.0, np.abs(expected).max())
    places = [TEXT[place] for place in RECORDED_PLACES]
    assert compare([RECORDED[name]], [found[RECORDED_PLACES]], places).mean_kl < LLAMA_CPP_KL


def test_llama_cpps_logits_are_there_for_every_model() -> None:
    assert set(RECORDED) == set(ALL)
    assert {tiny.architecture for tiny in ALL.values()} == {name for name, row in IMPORTED.items() if not row.embeds}


def files_with_logits() -> list[Path]:
    folder = os.environ.get("OBEAVER_TEST_LLAMA_CPP_LOGITS")
    return sorted(path for path in Path(folder).glob("*.gguf") if path.with_suffix(".npz").exists()) if folder else []


@pytest.mark.skipif(not files_with_logits(), reason="OBEAVER_TEST_LLAMA_CPP_LOGITS names no folder with such files")
@pytest.mark.parametrize("path", files_with_logits(), ids=lambda path: path.stem)
def test_files_beside_llama_cpps_logits_give_these(tmp_path: Path, path: Path) -> None:
    with np.load(path.with_suffix(".npz")) as recorded:
        text, expected = [int(n) for n in recorded["ids"]], recorded["logits"]
    import_gguf(path, tmp_path, weights="fp32", kv="float32", name=path.stem, progress=SilentProgress())
    found = np.concatenate(list(folder_logits(tmp_path / "model.onnx", text)))
    assert compare([expected], [found], text).mean_kl < (ROUNDED_KL if path.stem == "smollm3" else LLAMA_CPP_KL)


def test_int8_is_near_the_reference_and_the_same_to_the_bit_however_it_is_computed(
    import_tiny: ImportTiny, name: str
) -> None:
    folder = import_tiny(ALL[name], weights="int8", kv="int8")
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


@pytest.mark.parametrize("architecture", MIXTURES)
def test_experts_in_four_bits_are_near_the_reference(import_tiny: ImportTiny, architecture: str) -> None:
    tiny = replace(SMALL, architecture=architecture, experts=9, metadata={"expert_used_count": 4})
    folder = import_tiny(tiny, weights="int4")
    assert {"QMoE"} == {node.op_type for node in read_nodes(folder / "model.onnx") if "MoE" in node.op_type}
    expected = Reference(folder.parent / "source.gguf").logits(TEXT)
    assert (logits(folder) - expected).std() < INT4_TOLERANCE * expected.std()
