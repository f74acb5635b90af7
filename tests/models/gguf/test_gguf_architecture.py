from pathlib import Path

import gguf
import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf

from obeaver.errors import ModelError
from obeaver.models.gguf.architecture import Architecture, LayerKind
from obeaver.models.gguf.description import read_architecture
from obeaver.models.gguf.reader import GgufFile
from obeaver.models.gguf.rope import Rope, Yarn


def described(tmp_path: Path, tiny: TinyGguf) -> Architecture:
    return read_architecture(GgufFile(tiny.write(tmp_path / "tiny.gguf")))


def vectors_beside_norms(model: Architecture) -> set[str]:
    return set(model.vectors) - {"attn_norm.weight", "ffn_norm.weight"}


def test_a_llama_is_described(tmp_path: Path) -> None:
    model = described(tmp_path, TinyGguf(metadata={"attention.sliding_window": 32}))
    assert (model.name, model.num_layers, model.hidden_size, model.ffn_size) == ("llama", 2, 256, 512)
    assert (model.num_heads, model.num_kv_heads, model.head_dim, model.q_size, model.kv_size) == (4, 2, 64, 256, 128)
    assert (model.vocab_size, model.context_length) == (288, 160)
    assert model.layers == (LayerKind(32, Rope(10000.0, 64)),) * 2
    assert (model.pairs, model.tied_head, vectors_beside_norms(model)) == (True, True, set())


def test_qwen2_has_biases_and_qwen3_has_norms_on_queries_and_keys(tmp_path: Path) -> None:
    qwen2 = described(tmp_path, TinyGguf("qwen2"))
    qwen3 = described(tmp_path, TinyGguf("qwen3"))
    assert vectors_beside_norms(qwen2) == {"attn_q.bias", "attn_k.bias", "attn_v.bias"}
    assert vectors_beside_norms(qwen3) == {"attn_q_norm.weight", "attn_k_norm.weight"}
    assert (qwen2.pairs, qwen3.pairs) == (False, False)


def test_heads_that_name_no_width_share_the_hidden_size(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "tiny.gguf")
    raw = source.read_bytes().replace(b"attention.key_length", b"attention.xxx_length")
    source.write_bytes(raw.replace(b"attention.value_length", b"attention.xxxxx_length"))
    assert read_architecture(GgufFile(source)).head_dim == 64


WITH_STATES = ("mamba", "mamba2", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe", "rwkv7", "jamba", "falcon-h1")
RECURRENT = "it keeps a state that every token changes, which a cache of keys and values cannot hold"


@pytest.mark.parametrize(
    ("tiny", "said"),
    [
        *((TinyGguf(name), f"'{name}' is not supported: {RECURRENT}") for name in WITH_STATES),
        (TinyGguf("bloom"), "the architecture 'bloom' is not supported, only llama, ernie4_5, mistral3, "),
        (TinyGguf("bloom"), "; look for the model as a folder for onnxruntime-genai, or run `obeaver convert` on its"),
        (TinyGguf("clip"), "it is the part that sees or hears for another model (mmproj): give that model's own file"),
        (TinyGguf("imatrix"), "it holds statistics for quantising a model: give the model's own file"),
        (TinyGguf("ernie4_5", metadata={"expert_count": 8}), "ernie4_5 model with a mixture of experts"),
        (TinyGguf(metadata={"expert_count": 8}), "llama.expert_used_count is missing"),
        (TinyGguf(metadata={"rope.scaling.alpha": 4.0}), "llama.rope.scaling.alpha is not known"),
        (TinyGguf(metadata={"rope.scaling.yarn_ext_factor": 0.5}), "llama.rope.scaling.yarn_ext_factor is not known"),
        (TinyGguf(metadata={"rope.dimension_count_swa": 32}), "llama.rope.dimension_count_swa is not known"),
        (TinyGguf(metadata={"rope.scaling.type": "ntk"}), "rope scaling of the kind 'ntk'"),
        (TinyGguf(metadata={"rope.scaling.type": 5}), "llama.rope.scaling.type is of the type int, not a text"),
        (TinyGguf(metadata={"rope.dimension_count": 66}), "rotary embedding of 66 of 64 elements of a head"),
        (TinyGguf(metadata={"rope.dimension_count": 33}), "rotary embedding of 33 of 64 elements of a head"),
        (TinyGguf(metadata={"rope.freq_base": 1.0}), "llama.rope.freq_base is 1.0, out of range"),
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


@pytest.mark.parametrize(
    ("architecture", "kind", "said"),
    [
        ("llama", "adapter", "it is an adapter (LoRA), which changes another model: merge it into that"),
        ("llama", "mmproj", "it is the part that sees or hears for another model"),
        ("controlvector", "model", "it is a control vector, which changes another model"),
        ("flux", "model", "the architecture 'flux' is not supported, only llama, "),
    ],
)
def test_a_file_that_holds_no_model_says_what_it_is_and_what_helps(
    tmp_path: Path, architecture: str, kind: str, said: str
) -> None:
    path = tmp_path / "part.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError) as refused:
        read_architecture(GgufFile(path))
    assert str(refused.value).startswith(f"{path}: {said}")


def test_missing_metadata_are_named(tmp_path: Path) -> None:
    source = TinyGguf().write(tmp_path / "tiny.gguf")
    source.write_bytes(source.read_bytes().replace(b"llama.block_count", b"llama.bl0ck_count"))
    with pytest.raises(ModelError, match=r"its llama\.block_count is missing, not a whole number"):
        read_architecture(GgufFile(source))


def test_a_storage_type_that_is_not_supported_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = TinyGguf(type="Q8_0", layers=1).write(tmp_path / "tiny.gguf")
    raw = source.read_bytes()
    entry = raw.index(b"blk.0.attn_k.weight") + len(b"blk.0.attn_k.weight") + 4 + 16
    source.write_bytes(raw[:entry] + (9).to_bytes(4, "little") + raw[entry + 4 :])
    with pytest.raises(ModelError, match=r"blk\.0\.attn_k\.weight is stored as Q8_1, which is not supported"):
        read_architecture(GgufFile(source))


@pytest.mark.parametrize(
    ("keys", "rope"),
    [
        ({}, Rope(10000.0, 64)),
        ({"rope.scaling.factor": 4.0}, Rope(10000.0, 64, 0.25)),
        ({"rope.scale_linear": 2.0}, Rope(10000.0, 64, 0.5)),
        ({"rope.scaling.factor": 4.0, "rope.scale_linear": 2.0}, Rope(10000.0, 64, 0.25)),
        ({"rope.scaling.factor": 0.0}, Rope(10000.0, 64)),
        ({"rope.scaling.yarn_ext_factor": 1.0, "rope.dimension_count_swa": 64}, Rope(10000.0, 64)),
        ({"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, Rope(10000.0, 64)),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, Rope(10000.0, 64, 0.25)),
        ({"rope.dimension_count": 24, "rope.scaling.attn_factor": 1.5}, Rope(10000.0, 24, magnitude=1.5)),
        ({"rope.scaling.type": "yarn"}, Rope(10000.0, 64, yarn=Yarn(160, 32.0, 1.0))),
    ],
    ids=[
        "none",
        "a factor is linear",
        "the old key",
        "the new key first",
        "0 is none",
        "keys that say nothing",
        "none",
        "linear",
        "partial",
        "yarn",
    ],
)
def test_scaling_of_positions_has_llama_cpps_defaults(tmp_path: Path, keys: dict[str, float | str], rope: Rope) -> None:
    assert described(tmp_path, TinyGguf(metadata=keys)).layers[0].rope == rope


def windows(model: Architecture) -> list[int | None]:
    return [kind.window for kind in model.layers]


def test_windows_are_those_of_the_familys_pattern_or_of_the_files(tmp_path: Path) -> None:
    def of(family: str, layers: int, **keys: int | list[bool]) -> list[int | None]:
        metadata = {f"attention.{key}": value for key, value in keys.items()}
        return windows(described(tmp_path, TinyGguf(family, layers=layers, metadata=metadata)))

    assert of("gemma3", 7, sliding_window=32) == [32] * 5 + [None, 32]
    assert of("gemma3", 7) == [None] * 7
    assert of("gemma3", 4, sliding_window=32, sliding_window_pattern=2) == [32, None, 32, None]
    assert of("gemma3", 3, sliding_window=32, sliding_window_pattern=[True, False, True]) == [32, None, 32]
    assert of("gemma2", 3) == [4096, None, 4096]
    assert of("olmo2", 5, sliding_window=16) == [16, 16, 16, None, 16]
    assert of("phi3", 2, sliding_window=16) == [None, None]


def test_layers_of_gemma_3_have_a_base_of_their_own_beside_a_window(tmp_path: Path) -> None:
    keys = {"attention.sliding_window": 32, "rope.freq_base": 1e6, "rope.scaling.factor": 8.0}
    model = described(tmp_path, TinyGguf("gemma3", layers=6, metadata=keys))
    assert (model.layers[0].rope, model.layers[5].rope) == (Rope(10000.0, 64), Rope(1e6, 64, 0.125))


def test_every_fourth_layer_of_smollm3_has_no_rotary_embedding(tmp_path: Path) -> None:
    model = described(tmp_path, TinyGguf("smollm3", layers=5))
    assert [kind.rope is None for kind in model.layers] == [False, False, False, True, False]


def test_a_context_that_was_asked_for_chooses_longropes_factors(tmp_path: Path) -> None:
    keys = {"rope.scaling.original_context_length": 64}
    factors = {f"rope_factors_{which}.weight": np.ones(32, np.float32) for which in ("short", "long")}
    file = GgufFile(TinyGguf("phi3", metadata=keys, vectors=factors).write(tmp_path / "tiny.gguf"))
    for context, length, which in ((None, 64, "short"), (48, 48, "short"), (100, 100, "long"), (1000, 160, "long")):
        model = read_architecture(file, context)
        rope = model.layers[0].rope
        assert rope is not None
        assert (model.context_length, rope.factors) == (length, f"rope_factors_{which}.weight")
