"""What is installed and what can be had."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.tiny_decoder import TinyDecoder

from obeaver.models.catalog import CatalogEntry
from obeaver.models.inventory import available_models, installed_models, look_up
from obeaver.models.record import Recipe
from obeaver.models.store import Store


def make(store: Store, name: str, recipe: Recipe | None = None) -> Path:
    with store.staging(name, recipe=recipe) as folder:
        TinyDecoder().write(folder)
        (folder / "tokenizer.json").write_text("{}")
    return store.home / "models" / name


def test_a_store_that_is_not_there_has_nothing(store: Store, tiny_catalog: Mapping[str, CatalogEntry]) -> None:
    assert installed_models(store, tiny_catalog) == []
    assert [entry.name for entry in available_models(store, tiny_catalog)] == ["tiny"]


def test_what_is_installed_is_not_available(store: Store, tiny_catalog: Mapping[str, CatalogEntry]) -> None:
    make(store, "tiny")
    [model] = installed_models(store, tiny_catalog)
    assert (model.name, model.problem, model.users, model.licence) == ("tiny", None, (), "Apache-2.0")
    assert model.summary is not None
    assert (model.summary.weights, model.summary.context_length) == ("int8", 128)
    assert available_models(store, tiny_catalog) == []


def test_an_import_is_known_by_the_hash_of_its_source(store: Store, tiny_catalog: Mapping[str, CatalogEntry]) -> None:
    source = tiny_catalog["tiny"].sources[0].sha256
    assert source is not None
    make(store, "tiny-int4", Recipe(source, "int4", "float32"))
    make(store, "tiny", Recipe("0" * 64, "int8", "float32"))
    other, derived = installed_models(store, tiny_catalog)
    assert (other.name, other.entry) == ("tiny", None)
    assert (derived.name, derived.entry) == ("tiny-int4", tiny_catalog["tiny"])


@pytest.mark.parametrize("file", ["model.onnx", "store.json"])
def test_a_damaged_model_is_listed_with_its_reason(store: Store, file: str) -> None:
    (make(store, "tiny") / file).unlink()
    [model] = installed_models(store, {})
    assert model.summary is None
    assert model.problem is not None
    assert file in model.problem


def test_a_model_that_is_none_is_listed_with_its_reason(store: Store) -> None:
    with store.staging("odd") as folder:
        (folder / "notes.txt").write_text("no model")
    assert "is not a model folder" in (look_up(store, "odd", {}).problem or "")


def test_damage_that_kept_size_and_time_is_found_by_a_deep_look(store: Store) -> None:
    graph = make(store, "tiny") / "model.onnx"
    before, content = graph.stat(), bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    os.utime(graph, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look_up(store, "tiny", {}).problem is None
    assert look_up(store, "tiny", {}, deep=True).problem == "model.onnx was changed"
