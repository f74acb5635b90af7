"""Vectors of llama.cpp for small random models, recorded: another program's reading of the same files.

`tests/data/llama_cpp/embeddings.npz` holds what `llama-server --embedding` (build 11434, on the CPU) answered for
`TEXTS`, and how many tokens it counted. It computes GELU by a table in float16, so directions are compared.
"""

from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf
from support.embed_app import serving
from support.encoder_gguf import EncoderGguf

from obeaver.models.embedder.importer import import_embedder
from obeaver.models.progress import SilentProgress

RECORDED = np.load(Path(__file__).parents[2] / "data" / "llama_cpp" / "embeddings.npz")
TEXTS = ["beavers build dams.", "zebra beaver, dam " * 5, "ÜBER dams", "  beaver   s "]
MODELS: dict[str, TinyGguf | EncoderGguf] = {
    "bert": EncoderGguf("bert"),
    "xlm-roberta": EncoderGguf("bert", tokenizer="t5", pooling=2),
    "nomic-bert": EncoderGguf("nomic-bert"),
    "modern-bert": EncoderGguf("modern-bert", pooling=2),
    "qwen3": TinyGguf(
        "qwen3",
        hidden=128,
        ffn=96,
        head_dim=32,
        context=200,
        metadata={"pooling_type": 3},
        tokenizer={"ggml.add_eos_token": True},
    ),
    "gemma-embedding": TinyGguf(
        "gemma-embedding",
        layers=7,
        hidden=128,
        ffn=96,
        head_dim=32,
        context=200,
        metadata={"pooling_type": 1, "attention.sliding_window": 8, "attention.causal": False},
        tokenizer={"ggml.add_bos_token": True, "ggml.add_eos_token": True},
    ),
}


def test_every_family_was_recorded() -> None:
    assert set(RECORDED) == {*MODELS, *(f"{name}.tokens" for name in MODELS)}


@pytest.mark.parametrize("name", MODELS)
async def test_vectors_point_where_llama_cpps_do(tmp_path: Path, name: str) -> None:
    (folder := tmp_path / "target").mkdir()
    file = MODELS[name].write(tmp_path / "source.gguf")
    import_embedder(file, folder, weights="fp32", name=name, progress=SilentProgress())
    async with serving(folder) as served:
        answers = [await served.embed(text) for text in TEXTS]
    assert [answer["usage"]["prompt_tokens"] for answer in answers] == RECORDED[f"{name}.tokens"].tolist()
    vectors = np.array([answer["data"][0]["embedding"] for answer in answers])
    cosines = (vectors * RECORDED[name]).sum(axis=1) / np.linalg.norm(RECORDED[name], axis=1)
    assert (cosines > 0.9999).all(), cosines
