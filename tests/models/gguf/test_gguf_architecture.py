from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf

from obeaver.errors import ModelError
from obeaver.models.gguf.architecture import Architecture, read_architecture
from obeaver.models.gguf.reader import GgufFile


def described(tmp_path: Path, tiny: TinyGguf) -> Architecture:
    return read_architecture(GgufFile(tiny.write(tmp_path / "tiny.gguf")))


def test_a_llama_is_described(tmp_path: Path) -> None:
    model = described(tmp_path, TinyGguf(metadata={"attention.sliding_window": 32}))
    assert (model.name, model.num_layers, model.hidden_size, model.ffn_size) == ("llama", 2, 256, 512)
    assert (model.num_heads, model.num_kv_heads, model.head_dim, model.q_size, model.kv_size) == (4, 2, 64, 256, 128)
    assert (model.vocab_size, model.context_length, model.window) == (288, 160, 32)
    assert (model.rope.base, model.rope.interleaved, model.rope.factors) == (10000.0, True, None)
    assert (model.tied_head, model.qk_norm, model.biases) == (True, False, frozenset())


def test_qwen2_has_biases_and_qwen3_has_norms_on_queries_and_keys(tmp_path: Path) -> None:
    qwen2 = described(tmp_path, TinyGguf("qwen2"))
    qwen3 = described(tmp_path, TinyGguf("qwen3"))
    assert (qwen2.biases, qwen2.qk_norm) == (frozenset({"attn_q", "attn_k", "attn_v"}), False)
    assert (qwen3.biases, qwen3.qk_norm) == (frozenset(), True)


def test_heads_that_name_no_width_share_the_hidden_size(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "tiny.gguf")
    raw = source.read_bytes().replace(b"attention.key_length", b"attention.xxx_length")
    source.write_bytes(raw.replace(b"attention.value_length", b"attention.xxxxx_length"))
    assert read_architecture(GgufFile(source)).head_dim == 64


@pytest.mark.parametrize(
    ("tiny", "said"),
    [
        (TinyGguf("mamba"), "the architecture 'mamba' is not supported, only llama, qwen2, qwen3 are"),
        (TinyGguf(metadata={"expert_count": 8}), "mixture of experts"),
        (TinyGguf(metadata={"rope.scaling.type": "yarn"}), "rope scaling of the kind 'yarn'"),
        (TinyGguf(metadata={"rope.scaling.type": 5}), "llama.rope.scaling.type is of the type int, not a text"),
        (TinyGguf(metadata={"rope.dimension_count": 32}), "rotary embedding of a part of each head"),
        (TinyGguf(metadata={"attention.value_length": 32}), "values of another width than keys"),
        (TinyGguf(metadata={"attention.head_count_kv": 3}), "4 query heads cannot share 3 key heads"),
        (TinyGguf(metadata={"context_length": 1 << 30}), "llama.context_length is 1073741824, out of range"),
        (TinyGguf(metadata={"block_count": 0}), "llama.block_count is 0, out of range"),
        (TinyGguf(metadata={"block_count": 2.0}), "llama.block_count is of the type float, not a whole number"),
        (TinyGguf(metadata={"block_count": True}), "llama.block_count is of the type bool, not a whole number"),
        (TinyGguf(metadata={"rope.freq_base": "10"}), "llama.rope.freq_base is of the type str, not a number"),
        (TinyGguf(metadata={"rope.freq_base": float("inf")}), "llama.rope.freq_base is inf, out of range"),
        (TinyGguf(metadata={"rope.freq_base": float("nan")}), "llama.rope.freq_base is nan, out of range"),
        (TinyGguf(metadata={"embedding_length": 128}), "is not its embedding_length"),
        (
            TinyGguf(metadata={"feed_forward_length": 256}),
            "ffn_gate.weight has the shape [512, 256], expected [256, 256]",
        ),
        (TinyGguf(metadata={"block_count": 1 << 30}), "the tensor blk.2.attn_norm.weight is missing"),
        (TinyGguf(without=("token_embd.weight",)), "it has no matrix token_embd.weight"),
        (TinyGguf(without=("blk.1.ffn_up.weight",)), "the tensor blk.1.ffn_up.weight is missing"),
        (TinyGguf(without=("blk.1.attn_k.bias",), biases=("attn_k",)), "the tensor blk.1.attn_k.bias is missing"),
        (TinyGguf(without=("blk.0.attn_k.bias",), biases=("attn_k",)), "a tensor blk.1.attn_k.bias are not supported"),
        (
            TinyGguf(vectors={"blk.0.attn_sinks.weight": np.zeros(4, np.float32)}),
            "llama models with a tensor blk.0.attn_sinks.weight are not supported",
        ),
    ],
)
def test_what_cannot_be_computed_exactly_is_refused_by_name(tmp_path: Path, tiny: TinyGguf, said: str) -> None:
    with pytest.raises(ModelError) as refused:
        described(tmp_path, tiny)
    assert said in str(refused.value)


def test_missing_metadata_are_named(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "tiny.gguf")
    source.write_bytes(source.read_bytes().replace(b"llama.block_count", b"llama.bl0ck_count"))
    with pytest.raises(ModelError, match=r"its llama\.block_count is missing, not a whole number"):
        read_architecture(GgufFile(source))


def test_a_storage_type_that_is_not_supported_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = TinyGguf(type="Q8_0", layers=1).write(tmp_path / "tiny.gguf")
    raw = source.read_bytes()
    entry = raw.index(b"blk.0.attn_k.weight") + len(b"blk.0.attn_k.weight") + 4 + 16
    source.write_bytes(raw[:entry] + (20).to_bytes(4, "little") + raw[entry + 4 :])
    with pytest.raises(ModelError, match=r"blk\.0\.attn_k\.weight is stored as IQ4_NL, which is not supported"):
        read_architecture(GgufFile(source))
