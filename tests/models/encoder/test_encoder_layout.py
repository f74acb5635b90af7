"""Folders as sentence-transformers, transformers.js and optimum write them."""

from pathlib import Path
from typing import Any

import pytest
from support.tiny_encoder import (
    bert_config,
    bert_weights,
    write_json,
    write_pooling,
    write_safetensors,
    write_sentence_transformer,
    write_tokenizer,
)

from obeaver.errors import ModelError
from obeaver.models.encoder.layout import copied_files, find_graph, is_encoder_folder, read_encoder_facts, source_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sentence_transformer(tmp_path / "My-Model", bert_weights(), bert_config())


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_sentence_transformers_folder_tells_its_steps_and_limits(folder: Path) -> None:
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query : ", "document": ""}, "default_prompt_name": "query"},
    )
    facts = read_encoder_facts(folder)
    assert (facts.name, facts.kind, facts.architecture) == ("My-Model", "embedding", "bert")
    assert (facts.context_length, facts.max_context_length) == (16, 42)
    assert (facts.pooling, facts.pools_prompt, facts.dense) == (("mean_tokens",), True, ())
    assert (facts.prompts, facts.default_prompt) == ({"query": "query : ", "document": ""}, "query")
    assert facts.graph is None
    assert is_encoder_folder(folder)


@pytest.mark.parametrize(
    "mode", ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
)
def test_pooling_is_what_the_folder_says(folder: Path, mode: str) -> None:
    write_pooling(folder, mode)
    assert read_encoder_facts(folder).pooling == (mode,)


def test_several_modes_keep_their_order_and_prompts_can_be_left_out(folder: Path) -> None:
    write_pooling(folder, "lasttoken", "cls_token", include_prompt=False)
    facts = read_encoder_facts(folder)
    assert (facts.pooling, facts.pools_prompt) == (("cls_token", "lasttoken"), False)


@pytest.mark.parametrize(
    ("named", "modes"), [("mean", ("mean_tokens",)), (["cls", "max"], ("cls_token", "max_tokens"))]
)
def test_the_newer_way_to_name_pooling_is_read(folder: Path, named: Any, modes: tuple[str, ...]) -> None:
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": named})
    assert read_encoder_facts(folder).pooling == modes


def test_dense_layers_are_found(folder: Path) -> None:
    write_json(
        folder / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.activation.Tanh", "bias": False}
    )
    write_safetensors(folder / "2_Dense" / "model.safetensors", {})
    modules = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    write_json(folder / "modules.json", modules)
    (dense,) = read_encoder_facts(folder).dense
    assert (dense.activation, dense.has_bias) == ("Tanh", False)
    assert dense.weights in copied_files(folder)
    dense.weights.unlink()
    with pytest.raises(ModelError, match=r"2_Dense has no model\.safetensors"):
        read_encoder_facts(folder)


def test_a_transformers_js_folder_has_its_graphs_below_onnx_and_the_exact_one_wins(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    write_json(tmp_path / "config.json", bert_config())
    touch(tmp_path / "onnx" / "model_quantized.onnx", tmp_path / "onnx" / "model_q4.onnx")
    assert find_graph(tmp_path) == tmp_path / "onnx" / "model_quantized.onnx"
    touch(tmp_path / "onnx" / "model.onnx")
    facts = read_encoder_facts(tmp_path)
    assert facts.graph == tmp_path / "onnx" / "model.onnx"
    assert facts.pooling == ("mean_tokens",)


def test_an_optimum_folder_has_its_graph_beside_the_configuration(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", bert_config())
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 1e30})
    touch(tmp_path / "model.onnx", tmp_path / "onnx" / "model.onnx")
    facts = read_encoder_facts(tmp_path)
    assert (facts.graph, facts.context_length) == (tmp_path / "model.onnx", 42)


def test_a_graph_of_any_other_name_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "onnx" / "encoder.onnx")
    assert find_graph(tmp_path) == tmp_path / "onnx" / "encoder.onnx"


def test_a_decoder_pools_its_last_token_unless_the_folder_says_otherwise(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "qwen3", "vocab_size": 9, "max_position_embeddings": 32768})
    touch(tmp_path / "model.onnx")
    facts = read_encoder_facts(tmp_path)
    assert (facts.pooling, facts.max_context_length) == (("lasttoken",), 32768)


def test_sizes_may_stand_in_a_text_section(tmp_path: Path) -> None:
    config = {"model_type": "gemma3", "text_config": {"vocab_size": 9, "max_position_embeddings": 2048}}
    write_json(tmp_path / "config.json", config)
    touch(tmp_path / "model.onnx")
    facts = read_encoder_facts(tmp_path)
    assert (facts.vocab_size, facts.max_context_length) == (9, 2048)


def test_a_reranker_is_known_by_its_head(folder: Path) -> None:
    write_json(folder / "config.json", bert_config(architecture="BertForSequenceClassification"))
    assert read_encoder_facts(folder).kind == "reranker"


def test_an_import_reads_configurations_tokenizer_and_safetensors_only(folder: Path) -> None:
    touch(folder / "pytorch_model.bin", folder / "onnx" / "model.onnx", folder / "README.md")
    names = {path.relative_to(folder).as_posix() for path in source_files(folder)}
    assert names == {
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
    }


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", {}, "must hold a list of modules"),
        ("modules.json", [{"path": "", "type": "x.Transformer"}, {"path": "1", "type": "x.CNN"}], "kind CNN"),
        ("modules.json", [{"path": "../up", "type": "x.Pooling"}], "leads out of the folder"),
        ("1_Pooling/config.json", {}, "pooling by nothing"),
        ("1_Pooling/config.json", {"pooling_mode": "median"}, "pooling by median"),
        ("config.json", [], "must hold a JSON object"),
        ("config.json", {"model_type": "bert"}, "vocab_size must be a whole number"),
    ],
)
def test_what_is_not_understood_is_named(folder: Path, file: str, content: object, message: str) -> None:
    write_json(folder / file, content)
    with pytest.raises(ModelError, match=message):
        read_encoder_facts(folder)


def test_a_missing_and_a_broken_file_are_named(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        read_encoder_facts(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is not JSON"):
        read_encoder_facts(folder)


def test_a_folder_with_neither_graph_nor_weights_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", bert_config())
    assert not is_encoder_folder(tmp_path)
