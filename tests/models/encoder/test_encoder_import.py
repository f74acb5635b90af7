"""The import against a forward pass in plain numpy, on small random models of each family."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.encoder import hidden_states, mean_vector
from support.tiny_encoder import (
    HIDDEN,
    Weights,
    bert_config,
    bert_weights,
    classifier_weights,
    write_json,
    write_safetensors,
    write_sentence_transformer,
)

from obeaver.engine.encoding.batches import TokenisedText
from obeaver.engine.encoding.pooling import VectorRecipe
from obeaver.engine.encoding.session import EmbeddingSession, open_embedding_session, open_scoring_session
from obeaver.errors import ModelError
from obeaver.models.encoder.importer import import_encoder
from obeaver.models.encoder.layout import find_graph, read_encoder_facts
from obeaver.models.progress import SilentProgress

TEXTS = [[2, *range(5, 5 + length), 3] for length in (1, 4, 30, 11, 2)]


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Path]:
    def importing(weights: Weights, config: dict[str, Any], formats: str = "fp32") -> Path:
        source = write_sentence_transformer(tmp_path / "source", weights, config)
        target = tmp_path / formats
        target.mkdir()
        import_encoder(source, target, weights=formats, name="tiny", progress=SilentProgress())
        return target

    return importing


def opened(folder: Path) -> EmbeddingSession:
    graph = find_graph(folder)
    assert graph is not None
    return open_embedding_session(graph, VectorRecipe(("mean_tokens",)), threads=1)


def reference(config: dict[str, Any], first: int = 0) -> np.ndarray[Any, Any]:
    weights = {name: array.astype(np.float64) for name, array in bert_weights().items()}
    rows = [mean_vector(hidden_states(weights, config, ids, [0] * len(ids), first)) for ids in TEXTS]
    return np.stack(rows)


def prefixed(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: array for name, array in weights.items()}


def distilbert_names(weights: Weights) -> Weights:
    """DistilBERT's names; it has no segments, so the first one's embedding goes into the words'."""
    names = {
        "encoder.layer.": "distilbert.transformer.layer.",
        "attention.self.query": "attention.q_lin",
        "attention.self.key": "attention.k_lin",
        "attention.self.value": "attention.v_lin",
        "attention.output.dense": "attention.out_lin",
        "attention.output.LayerNorm": "sa_layer_norm",
        "intermediate.dense": "ffn.lin1",
        "output.dense": "ffn.lin2",
        "output.LayerNorm": "output_layer_norm",
    }
    weights = dict(weights)
    types = weights.pop("embeddings.token_type_embeddings.weight")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"] + types[0]
    renamed = {}
    for name, array in weights.items():
        for old, new in names.items():
            name = name.replace(old, new)
        renamed[name if name.startswith("distilbert.") else f"distilbert.{name}"] = array
    return renamed


def test_a_bert_computes_what_the_reference_computes(imported: Callable[..., Path]) -> None:
    config = bert_config()
    vectors = opened(imported(bert_weights(), config)).compute([TokenisedText(ids) for ids in TEXTS])
    np.testing.assert_allclose(vectors, reference(config), atol=1e-5)


def test_weights_with_the_familys_prefix_and_names_of_old_are_found(imported: Callable[..., Path]) -> None:
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in prefixed("bert.", bert_weights()).items()
    }
    config = bert_config()
    vectors = opened(imported(weights, config)).compute([TokenisedText(ids) for ids in TEXTS])
    np.testing.assert_allclose(vectors, reference(config), atol=1e-5)


def test_a_robertas_positions_begin_behind_the_padding_tokens(imported: Callable[..., Path]) -> None:
    config = bert_config("roberta", "RobertaModel")
    folder = imported(prefixed("roberta.", bert_weights()), config)
    vectors = opened(folder).compute([TokenisedText(ids) for ids in TEXTS])
    np.testing.assert_allclose(vectors, reference(config, first=2), atol=1e-5)
    assert read_encoder_facts(folder).max_context_length == config["max_position_embeddings"] - 2


def test_a_distilbert_computes_what_the_reference_computes(imported: Callable[..., Path]) -> None:
    config = bert_config("distilbert", "DistilBertModel")
    for old, new in (
        ("hidden_size", "dim"),
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_heads"),
        ("intermediate_size", "hidden_dim"),
        ("hidden_act", "activation"),
    ):
        config[new] = config.pop(old)
    vectors = opened(imported(distilbert_names(bert_weights()), config)).compute([TokenisedText(i) for i in TEXTS])
    np.testing.assert_allclose(vectors, reference(bert_config()), atol=1e-5)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_other_float_types_are_read(tmp_path: Path, dtype: str) -> None:
    source = write_sentence_transformer(tmp_path / "source", {}, bert_config())
    write_safetensors(source / "model.safetensors", bert_weights(), dtype)
    target = tmp_path / "target"
    target.mkdir()
    import_encoder(source, target, weights="fp32", name="tiny", progress=SilentProgress())
    cosines = (opened(target).compute([TokenisedText(ids) for ids in TEXTS]) * reference(bert_config())).sum(axis=1)
    assert cosines.min() > (0.999 if dtype == "BF16" else 0.99999)


def test_int8_is_near_and_no_text_depends_on_its_neighbours(imported: Callable[..., Path]) -> None:
    session = opened(imported(bert_weights(), bert_config(), "int8"))
    texts = [TokenisedText(ids) for ids in TEXTS]
    together = session.compute(texts)
    assert (together * reference(bert_config())).sum(axis=1).min() > 0.99
    np.testing.assert_array_equal(together, np.concatenate([session.compute([text]) for text in texts]))


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_other_activations_give_other_vectors(imported: Callable[..., Path], activation: str) -> None:
    config = bert_config() | {"hidden_act": activation}
    vectors = opened(imported(bert_weights(), config)).compute([TokenisedText(ids) for ids in TEXTS])
    difference = np.abs(vectors - reference(config)).max()
    assert (1e-6 < difference < 0.05) if activation == "gelu_new" else difference > 0.01


def test_a_cross_encoder_scores_pairs_by_their_first_token(imported: Callable[..., Path]) -> None:
    config = bert_config(architecture="BertForSequenceClassification")
    head = classifier_weights()
    folder = imported(prefixed("bert.", bert_weights()) | prefixed("bert.", _pooler(head)) | _classifier(head), config)
    facts = read_encoder_facts(folder)
    assert (facts.kind, facts.graph) == ("reranker", folder / "model.onnx")
    pair = TokenisedText([2, 5, 6, 3, 7, 8, 9, 3], [0, 0, 0, 0, 1, 1, 1, 1])
    scores = open_scoring_session(folder / "model.onnx").compute([pair, TokenisedText([2, 5, 3])])
    weights = {name: array.astype(np.float64) for name, array in bert_weights().items()}
    first = hidden_states(weights, config, pair.ids, pair.type_ids)[0]
    hidden = np.tanh(first @ head["pooler.dense.weight"].T + head["pooler.dense.bias"])
    expected = hidden @ head["classifier.weight"].T + head["classifier.bias"]
    np.testing.assert_allclose(scores[0], expected, atol=1e-4)


def _pooler(head: Weights) -> Weights:
    return {name: array for name, array in head.items() if name.startswith("pooler")}


def _classifier(head: Weights) -> Weights:
    return {name: array for name, array in head.items() if name.startswith("classifier")}


def test_an_imported_folder_has_the_sources_layout_and_says_what_it_is(imported: Callable[..., Path]) -> None:
    folder = imported(bert_weights(), bert_config(), "int8")
    facts = read_encoder_facts(folder)
    assert (facts.name, facts.kind, facts.weights, facts.pooling) == ("tiny", "embedding", "int8", ("mean_tokens",))
    assert facts.context_length == 16
    assert json.loads((folder / "obeaver.json").read_text())["importer"].startswith("obeaver ")
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "architecture 'mamba' cannot be imported"),
        ({"position_embedding_type": "relative_key"}, "position embeddings of the type 'relative_key'"),
        ({"hidden_act": "swish"}, "activation 'swish'"),
        ({"num_attention_heads": "4"}, "num_attention_heads must be a whole number"),
        ({"architectures": ["BertForSequenceClassification"]}, "no head that scores texts"),
        ({"num_hidden_layers": 3}, "no tensor bert.encoder.layer.2"),
    ],
)
def test_what_cannot_be_imported_is_named(imported: Callable[..., Path], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        imported(bert_weights(), bert_config() | change)


def test_a_folder_without_a_tokenizer_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    with pytest.raises(ModelError, match="weights of an encoder can be fp32, int8, not 'int3'"):
        import_encoder(source, tmp_path, weights="int3", name="x", progress=SilentProgress())
    (source / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        import_encoder(source, tmp_path, weights="fp32", name="x", progress=SilentProgress())


def test_weights_in_several_files_are_read(tmp_path: Path) -> None:
    source = write_sentence_transformer(tmp_path / "source", {}, bert_config())
    (source / "model.safetensors").unlink()
    weights = list(bert_weights().items())
    parts = {"a.safetensors": dict(weights[:9]), "b.safetensors": dict(weights[9:])}
    for name, part in parts.items():
        write_safetensors(source / name, part)
    index = {name: file for file, part in parts.items() for name in part}
    write_json(source / "model.safetensors.index.json", {"weight_map": index})
    target = tmp_path / "target"
    target.mkdir()
    import_encoder(source, target, weights="fp32", name="tiny", progress=SilentProgress())
    assert opened(target).size == HIDDEN


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, (9).to_bytes(8, "little") + b'{"a": 12}', (2).to_bytes(8, "little") + b"[]"]
)
def test_broken_weights_are_named(tmp_path: Path, content: bytes) -> None:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    (source / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors|no tensor"):
        import_encoder(source, tmp_path, weights="fp32", name="x", progress=SilentProgress())


def test_an_index_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    source = write_sentence_transformer(tmp_path / "source", {}, bert_config())
    (source / "model.safetensors").unlink()
    write_json(source / "model.safetensors.index.json", {"weight_map": {"x": "../../secret"}})
    with pytest.raises(ModelError, match="names files elsewhere"):
        import_encoder(source, tmp_path, weights="fp32", name="x", progress=SilentProgress())
