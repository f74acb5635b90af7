"""EmbeddingGemma's kind: every token sees the whole text or a window to both sides, the mean, then dense layers."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from reference.forward import Reference
from reference.tiny_gguf import TinyGguf
from support.embed_app import serving
from support.tiny_encoder import write_json, write_safetensors

from obeaver.models.embedder.importer import import_embedder
from obeaver.models.encoder.layout import read_encoder_facts
from obeaver.models.gguf.reader import GgufFile
from obeaver.models.progress import SilentProgress
from obeaver.text.tokenizer import Tokenizer

HIDDEN, LAYERS, WINDOW, BEGIN, END = 64, 7, 8, 1, 2
TEXTS = ["the", "Beavers build dams, and they build them well.", "a" * 90]
RNG = np.random.default_rng(5)
DENSE = {
    "dense_2.weight": RNG.normal(0, 0.2, (96, HIDDEN)).astype(np.float32),
    "dense_3.weight": RNG.normal(0, 0.2, (HIDDEN, 96)).astype(np.float32),
}
SMALL = TinyGguf(
    "gemma-embedding",
    layers=LAYERS,
    hidden=HIDDEN,
    ffn=96,
    head_dim=32,
    context=160,
    metadata={"pooling_type": 1, "attention.sliding_window": WINDOW, "attention.causal": False},
    vectors=DENSE,
    tokenizer={"ggml.add_bos_token": True, "ggml.add_eos_token": True},
)
_NAMES = {
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "attn_output": "self_attn.o_proj",
    **{f"attn_{which}": f"self_attn.{which}_proj" for which in "qkv"},
    **{f"attn_{which}_norm": f"self_attn.{which}_norm" for which in "qk"},
    **{f"ffn_{which}": f"mlp.{which}_proj" for which in ("gate", "up", "down")},
}


class Told(SilentProgress):
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def imported(source: Path, target: Path, progress: SilentProgress | None = None) -> Path:
    target.mkdir()
    import_embedder(source, target, weights="fp32", name="tiny", progress=progress or SilentProgress())
    return target


def wanted(file: Path, folder: Path, prompt: str = "") -> list[npt.NDArray[np.float32]]:
    tokenizer, reference = Tokenizer.from_folder(folder), Reference(file)
    vectors = []
    for text in TEXTS:
        mean = reference.hidden([BEGIN, *tokenizer.encode(prompt + text), END]).mean(axis=0)
        vector = DENSE["dense_3.weight"] @ (DENSE["dense_2.weight"] @ mean)
        vectors.append(vector / np.linalg.norm(vector))
    return vectors


def checkpoint(folder: Path, file: Path, tokenizer: Path) -> Path:
    """The same as its publisher has it: norms as what they differ from 1 by, dense layers in folders of their own."""
    folder.mkdir()
    tensors = {}
    for name, values in Reference(file).weights.items():
        if name.startswith("dense"):
            continue
        stored = values - 1 if values.ndim == 1 else values
        tensors[_hugging_face(name)] = stored
    write_safetensors(folder / "model.safetensors", tensors)
    places = [("2_Dense", "dense_2.weight"), ("3_Dense", "dense_3.weight")]
    for place, name in places:
        write_safetensors(folder / place / "model.safetensors", {"linear.weight": DENSE[name]})
        config = {"bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
        write_json(folder / place / "config.json", config)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), *((place, "Dense") for place, _ in places)]
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    (folder / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    write_json(
        folder / "config.json",
        {
            "model_type": "gemma3_text",
            "use_bidirectional_attention": True,
            "hidden_size": HIDDEN,
            "intermediate_size": 96,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "max_position_embeddings": 160,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "sliding_window": WINDOW,
            "_sliding_window_pattern": 6,
            "vocab_size": 288,
        },
    )
    return folder


def _hugging_face(name: str) -> str:
    whole = {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, kind = name.split(".")
    return f"layers.{layer}.{_NAMES[part]}.{kind}"


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
async def test_vectors_are_the_references(tmp_path: Path, form: str) -> None:
    file = SMALL.write(tmp_path / "embeddinggemma-300M-F32.gguf")
    folder = imported(file, tmp_path / "from-gguf")
    expected = wanted(file, folder)
    if form == "safetensors":
        folder = imported(checkpoint(tmp_path / "embeddinggemma-300m", file, folder), tmp_path / "from-safetensors")
    async with serving(folder) as served:
        together = await served.vectors(TEXTS)
        alone = [(await served.vectors(text))[0] for text in TEXTS]
        queries = await served.vectors(TEXTS, input_type="query")
    np.testing.assert_allclose(together, expected, atol=1e-5)
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    np.testing.assert_allclose(queries, wanted(file, folder, "task: search result | query: "), atol=1e-5)


def test_a_file_without_the_dense_layers_of_its_model_says_so(tmp_path: Path) -> None:
    bare = TinyGguf("gemma-embedding", metadata={"pooling_type": 1})
    told = Told()
    folder = imported(bare.write(tmp_path / "embeddinggemma-300M-Q8_0.gguf"), tmp_path / "target", told)
    [note] = told.notes
    assert note.startswith("embeddinggemma-300M-Q8_0.gguf lacks the dense layers of its model")
    assert read_encoder_facts(folder).dense == ()
    assert "dense_2.weight" not in GgufFile(tmp_path / "embeddinggemma-300M-Q8_0.gguf").tensors
