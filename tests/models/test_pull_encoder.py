"""Embedding models by path: folders that are used where they stand, and those that are imported first."""

from pathlib import Path

import pytest
from support.tiny_encoder import (
    bert_config,
    bert_weights,
    write_decoder_embedder,
    write_json,
    write_sentence_transformer,
)

from obeaver.errors import ModelError
from obeaver.models.encoder.layout import read_encoder_facts
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sentence_transformer(tmp_path / "My Model", bert_weights(), bert_config())


def test_a_folder_with_safetensors_alone_is_imported_once(folder: Path, store: Store) -> None:
    stored = ensure_model(str(folder), store, progress=SilentProgress())
    assert stored.name.startswith("my-model-")
    assert read_encoder_facts(stored.folder).weights == "fp32"
    made = (stored.folder / "model.onnx").stat().st_mtime_ns
    again = ensure_model(str(folder), store, progress=SilentProgress())
    assert again.folder == stored.folder
    assert (again.folder / "model.onnx").stat().st_mtime_ns == made


def test_another_format_stands_beside(folder: Path, store: Store) -> None:
    exact = ensure_model(str(folder), store, progress=SilentProgress())
    small = ensure_model(str(folder), store, progress=SilentProgress(), weights="int8")
    assert small.name == f"{exact.name}-int8"
    assert read_encoder_facts(small.folder).weights == "int8"


def test_new_content_is_a_new_model(folder: Path, store: Store) -> None:
    before = ensure_model(str(folder), store, progress=SilentProgress())
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 9})
    after = ensure_model(str(folder), store, progress=SilentProgress())
    assert after.name != before.name


def test_a_folder_with_a_graph_is_used_where_it_stands(folder: Path, store: Store) -> None:
    write_decoder_embedder(folder / "onnx" / "model.onnx")
    stored = ensure_model(str(folder), store, progress=SilentProgress())
    assert stored.folder == folder.resolve()
    assert store.list() == []


def test_an_architecture_that_cannot_be_imported_is_named(folder: Path, store: Store) -> None:
    write_json(folder / "config.json", bert_config() | {"model_type": "t5"})
    with pytest.raises(ModelError, match="'t5' cannot be imported"):
        ensure_model(str(folder), store, progress=SilentProgress())
