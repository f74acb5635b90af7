import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from obeaver.errors import ModelError
from obeaver.models.catalog import BUNDLED, load_catalog
from obeaver.models.encoder.architecture import IMPORTABLE
from obeaver.models.gguf.families import ARCHITECTURES
from obeaver.models.names import checked_name
from obeaver.models.progress import SilentProgress
from obeaver.models.recommended import recommended

SCHEMA = json.loads(BUNDLED.with_name("catalog.schema.json").read_text(encoding="utf-8"))
DATA = json.loads(BUNDLED.read_text(encoding="utf-8"))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_catalogue_follows_its_schema() -> None:
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(DATA)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "video"),
        ("licence", ""),
        ("sources", []),
        ("size_bytes", 0),
        ("memory_bytes", 0),
        ("quantisation", ""),
        ("name", "../x"),
        ("approximate", True),
        ("x", 1),
    ],
)
def test_the_schema_refuses_what_is_no_entry(key: str, value: Any) -> None:
    changed = {"models": [{**DATA["models"][0], key: value}]}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(changed)


def test_names_are_unique_and_fit_for_the_store() -> None:
    names = [model["name"] for model in DATA["models"]]
    assert sorted(load_catalog()) == sorted(names)
    assert [checked_name(name) for name in names] == names


def test_all_sources_of_an_entry_have_the_same_file() -> None:
    for entry in load_catalog().values():
        offers = [source.offer(SilentProgress()) for source in entry.sources if not source.asks]
        assert len({offer.sha256 for offer in offers}) == (0 if entry.approximate else 1)
        assert {offer.size_bytes for offer in offers} <= {entry.size_bytes}


def test_the_default_model_is_there() -> None:
    entry = load_catalog()["smollm2-135m"]
    assert (entry.kind, entry.licence, entry.context, entry.weights) == ("chat", "Apache-2.0", 8192, "int8")
    assert entry.sources[0].offer(SilentProgress()).space_bytes > entry.size_bytes == 98_362_432


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"models": [{}]}', '{"models": [{"sources": [{"type": "magic"}], "import": {}}]}']
)
def test_a_file_that_is_no_catalogue_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.json").write_text(text)
    with pytest.raises(ModelError, match=r"catalog\.json is not a catalogue"):
        load_catalog(tmp_path / "catalog.json")


def test_an_unknown_type_of_source_is_named(tmp_path: Path) -> None:
    entry = {**DATA["models"][0], "sources": [{"type": "magic"}]}
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [entry]}))
    with pytest.raises(ModelError, match="magic"):
        load_catalog(tmp_path / "catalog.json")


@pytest.mark.parametrize(
    "source",
    [
        {"type": "hub", "repo": "org/model-gguf", "path": "model-Q8_0.gguf", "revision": "v1", "sha256": "0" * 64},
        {"type": "hub", "repo": "org/model-onnx", "path": "cpu/int4"},
        {"type": "url", "url": "https://example.org/model.gguf", "sha256": "0" * 64, "size_bytes": 1},
    ],
)
def test_a_source_can_be_on_the_hub_or_the_web(source: dict[str, Any]) -> None:
    rounded = {} if "sha256" in source else {"approximate": True}
    entry = {**DATA["models"][0], "sources": [source], **rounded}
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid({"models": [entry]})


def test_what_a_branch_of_the_hub_holds_is_never_told_as_exact() -> None:
    entry = {**DATA["models"][0], "sources": [{"type": "hub", "repo": "org/model", "revision": "main"}]}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid({"models": [entry]})


def test_entries_with_exact_sources_are_exact_and_all_others_say_that_they_are_not() -> None:
    exact = {entry.name for entry in load_catalog().values() if not entry.approximate}
    assert exact == {"smollm2-135m", "all-minilm-l6-v2"}


def test_what_is_not_imported_is_a_folder() -> None:
    for entry in load_catalog().values():
        if entry.kind == "chat" and entry.approximate:
            assert (entry.weights is not None) == entry.addresses[0].endswith(".gguf"), entry.name


def test_every_architecture_of_a_gguf_file_can_be_imported() -> None:
    files = [entry for entry in load_catalog().values() if entry.addresses[0].endswith(".gguf")]
    assert {entry.architecture for entry in files} <= set(ARCHITECTURES)
    assert len(files) > 10


def test_every_encoder_that_is_imported_is_of_a_family_that_can_be() -> None:
    imported = [entry for entry in load_catalog().values() if entry.kind != "chat" and entry.weights is not None]
    assert {entry.architecture for entry in imported} <= {*IMPORTABLE, *ARCHITECTURES}


def test_the_recommended_memory_holds_at_least_the_weights() -> None:
    bytes_a_weight = {"fp32": 4.0, "int8": 1.0, "int4": 0.5}
    for entry in load_catalog().values():
        weights = entry.parameters * bytes_a_weight[entry.weights] if entry.weights else entry.size_bytes
        assert weights < entry.memory_bytes < 10 * weights + 500_000_000


@pytest.mark.parametrize(
    "source",
    [
        {"type": "hub", "repo": "a/b/c"},
        {"type": "hub", "repo": "org/model", "path": "/etc"},
        {"type": "url", "url": "https://example.org/model.gguf", "size_bytes": 1},
        {"type": "url", "url": "http://example.org/model.gguf", "sha256": "0" * 64, "size_bytes": 1},
    ],
)
def test_a_source_that_cannot_be_held_to_what_it_says_is_refused(source: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(
        {"models": [{**DATA["models"][0], "sources": [source]}]}
    )


def test_names_that_people_know_are_there() -> None:
    known = {"phi-4-mini", "gemma-3-1b", "gpt-oss-20b", "qwen3-30b-a3b", "mistral-small-3.2", "granite-3.3-2b"}
    assert known | {"smollm3-3b"} <= load_catalog().keys()


@pytest.mark.parametrize(
    ("free_bytes", "name"),
    [(1_000_000_000, None), (1_500_000_000, "qwen3-0.6b"), (3_000_000_000, "qwen3-1.7b"), (64_000_000_000, "qwen3-4b")],
)
def test_the_largest_of_the_recommended_models_that_fits_is_recommended(free_bytes: int, name: str | None) -> None:
    found = recommended(load_catalog(), free_bytes)
    assert (found and found.name) == name
