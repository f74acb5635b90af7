"""Checkpoints in repositories of the hub, over real HTTP."""

import json
import shutil
from pathlib import Path

import pytest
from support.hub_server import COMMIT, HubServer, Repo
from support.notes import Notes

from obeaver.errors import FetchError, ModelError, StoreError
from obeaver.models.convert import Checkpoint
from obeaver.models.convert_source import find_checkpoint
from obeaver.models.progress import SilentProgress
from obeaver.models.store import Store

CONFIG = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}).encode()
FILES = {
    "config.json": CONFIG,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model-00001-of-00002.safetensors": b"first" * 10_000,
    "model-00002-of-00002.safetensors": b"second" * 10_000,
    "model.safetensors.index.json": b"{}",
}
BESIDE = {
    "README.md": b"# Llama",
    "consolidated.safetensors": b"again",
    "pytorch_model.bin": b"pickle",
    "original/params.json": b"{}",
    "onnx/model.onnx": b"graph",
}


@pytest.fixture
def repo(hub: HubServer) -> Repo:
    hub.repos["Org/Llama"] = Repo({**FILES, **BESIDE})
    return hub.repos["Org/Llama"]


def find(source: str, store: Store, *, offline: bool = False) -> Checkpoint:
    return find_checkpoint(source, store, progress=SilentProgress(), offline=offline)


@pytest.mark.parametrize("source", ["Org/Llama", "Org/Llama@main", "hf:Org/Llama"])
def test_a_repository_is_known_exactly_before_anything_large_is_fetched(
    hub: HubServer, repo: Repo, store: Store, source: str
) -> None:
    checkpoint = find(source, store)
    assert (checkpoint.stem, checkpoint.place) == ("Llama", "hf:Org/Llama")
    assert (checkpoint.origin.address, checkpoint.origin.licence) == (f"hf:Org/Llama@{COMMIT}", "apache-2.0")
    assert hub.gets("safetensors") == []


def test_the_checkpoint_s_files_are_at_hand_for_the_length_of_a_block(repo: Repo, store: Store) -> None:
    with find("Org/Llama", store).at_hand() as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert not folder.exists()


def test_what_was_fetched_stays_for_another_try_when_the_block_fails(hub: HubServer, repo: Repo, store: Store) -> None:
    with pytest.raises(ModelError, match="boom"), find("Org/Llama", store).at_hand():
        raise ModelError("boom")
    before = len(hub.gets("/cdn/"))
    with find("Org/Llama", store).at_hand() as folder:
        assert (folder / "model-00001-of-00002.safetensors").read_bytes() == FILES["model-00001-of-00002.safetensors"]
    assert len(hub.gets("/cdn/")) == before


def test_size_and_licence_are_told(repo: Repo, store: Store) -> None:
    notes = Notes()
    find_checkpoint("Org/Llama", store, progress=notes)
    assert notes.texts == ["Org/Llama, 110.1 kB, licence: apache-2.0"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": CONFIG}, r"Org/Llama holds no checkpoint: it has no config\.json with \*\.safetensors"),
        ({"model.safetensors": b"weights"}, "holds no checkpoint"),
        (
            {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"weights"},
            "hf:Org/Llama holds an encoder, which needs no conversion: obeaver serve-embed hf:Org/Llama",
        ),
    ],
)
def test_a_repository_without_a_decoder_is_refused(
    hub: HubServer, store: Store, files: dict[str, bytes], message: str
) -> None:
    hub.repos["Org/Llama"] = Repo(files)
    with pytest.raises(ModelError, match=message):
        find("Org/Llama", store)


def test_offline_nothing_is_asked(hub: HubServer, repo: Repo, store: Store) -> None:
    with pytest.raises(FetchError, match="Org/Llama would have to be fetched, but this is offline"):
        find("Org/Llama", store, offline=True)
    assert hub.seen == []


def test_a_file_is_no_checkpoint(repo: Repo, store: Store) -> None:
    with pytest.raises(ModelError, match=r"is no repository: give a folder or ORG/REPO"):
        find("hf:Org/Llama:model.safetensors", store)


def test_a_repository_that_is_not_there_is_named(hub: HubServer, store: Store) -> None:
    with pytest.raises(FetchError, match="Org/None"):
        find("Org/None", store)


def test_a_folder_wins_over_a_repository_of_its_name(
    hub: HubServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Org" / "Llama"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    assert find("Org/Llama", store).place == str(folder)
    assert hub.seen == []


def test_no_space_is_told_before_the_fetch(
    hub: HubServer, repo: Repo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StoreError, match="not enough space"), find("Org/Llama", store).at_hand():
        pass
    assert hub.gets("/cdn/") == []
