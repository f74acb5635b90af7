"""What a folder holds, of any kind."""

import json
from pathlib import Path

import pytest
from support.tiny_decoder import TinyDecoder
from support.tiny_encoder import (
    bert_config,
    bert_weights,
    write_decoder_embedder,
    write_json,
    write_sentence_transformer,
)

from obeaver.errors import ModelError
from obeaver.models.summary import summarise

EXPORTS = Path(__file__).parent.parent / "data" / "builder_exports"


@pytest.mark.parametrize(
    ("export", "weights", "kv", "provider"),
    [
        ("llama_fp32", "fp32", "float32", "cpu"),
        ("llama_fp16_dml", "fp16", "float16", "dml"),
        ("llama_int8", "int8", "float32", "cpu"),
        ("llama_int4", "int4", "float32", "cpu"),
        ("llama_int8_kv", "int4", "int8", "cpu"),
        ("llama_int4_kv", "int4", "int4", "cpu"),
        ("llama_int4_webgpu", "int4", "float32", "webgpu"),
        ("phi3_int4_long_rope", "int4", "float32", "cpu"),
    ],
)
def test_the_graph_of_an_official_export_tells_its_formats(export: str, weights: str, kv: str, provider: str) -> None:
    summary = summarise(EXPORTS / export)
    assert (summary.kind, summary.weights, summary.kv, summary.provider) == ("chat", weights, kv, provider)
    assert (summary.vision, summary.fidelity, summary.source, summary.pooling) == (False, None, None, ())


def write_decoder(folder: Path, *, vision: bool = False, **provenance: object) -> Path:
    folder.mkdir()
    TinyDecoder().write(folder)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{% if tools %}<tool_call>{% endif %}</think>")
    if vision:
        config = json.loads((folder / "genai_config.json").read_text())
        config["model"]["vision"] = {"filename": "vision.onnx"}
        (folder / "genai_config.json").write_text(json.dumps(config))
    if provenance:
        (folder / "obeaver.json").write_text(json.dumps(provenance))
    return folder


def test_what_an_import_wrote_wins_over_what_the_graph_shows(tmp_path: Path) -> None:
    source = {"kind": "gguf", "file": "model.gguf"}
    summary = summarise(write_decoder(tmp_path / "m", name="mine", weights="int4", source=source, fidelity={"kl": 0.1}))
    assert (summary.name, summary.weights, summary.kv) == ("mine", "int4", "float32")
    assert (summary.source, summary.fidelity) == (source, {"kl": 0.1})


def test_the_template_tells_of_tools_and_thoughts(tmp_path: Path) -> None:
    summary = summarise(write_decoder(tmp_path / "m"))
    assert (summary.tool_dialect, summary.think_markers) == ("hermes", ("<think>", "</think>"))


def test_a_model_that_takes_images_says_so(tmp_path: Path) -> None:
    summary = summarise(write_decoder(tmp_path / "m", vision=True))
    assert summary.vision
    assert (summary.weights, summary.kv) == (None, None)


def test_an_embedding_model_tells_its_pooling(tmp_path: Path) -> None:
    summary = summarise(write_sentence_transformer(tmp_path / "st", bert_weights(), bert_config()))
    assert (summary.kind, summary.architecture, summary.pooling) == ("embedding", "bert", ("mean_tokens",))
    assert (summary.context_length, summary.weights, summary.kv, summary.provider) == (16, None, None, "cpu")


def test_a_reranker_is_told_from_an_embedding_model(tmp_path: Path) -> None:
    config = bert_config(architecture="BertForSequenceClassification")
    assert summarise(write_sentence_transformer(tmp_path / "st", bert_weights(), config)).kind == "reranker"


def test_an_embedding_model_with_quantised_operators_is_int8(tmp_path: Path) -> None:
    folder = write_sentence_transformer(tmp_path / "st", bert_weights(), bert_config())
    write_decoder_embedder(folder / "model.onnx", quantised=True)
    assert summarise(folder).weights is None, "activations alone are no weights"


def test_a_summary_is_json(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "m")
    data = json.loads(json.dumps(summarise(folder).to_json()))
    assert (data["folder"], data["think_markers"], data["weights"]) == (str(folder), ["<think>", "</think>"], "int8")


def test_a_checkpoint_without_a_graph_is_told_how_to_become_a_model(tmp_path: Path) -> None:
    write_json(tmp_path / "hf" / "config.json", {"model_type": "gemma3_text", "vocab_size": 10})
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match="'gemma3_text' and no ONNX graph: `obeaver convert`"):
        summarise(tmp_path / "hf")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it has no genai_config\.json"):
        summarise(tmp_path)


def test_a_graph_that_is_none_is_an_error(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "m")
    (folder / "model.onnx").write_bytes(b"\x07")
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read: the file is not an ONNX model"):
        summarise(folder)


@pytest.mark.real
def test_the_default_models_are_summarised(default_model: Path, default_embedding_model: Path) -> None:
    chat, embedding = summarise(default_model), summarise(default_embedding_model)
    assert (chat.kind, chat.weights, chat.kv, chat.context_length) == ("chat", "int8", "int8", 8192)
    assert (embedding.kind, embedding.weights, embedding.context_length) == ("embedding", "fp32", 256)
