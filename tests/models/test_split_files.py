"""Models in several GGUF files: the same model as in one, whichever part is named, and a missing part is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from reference.tiny_gguf import TinyGguf
from support.hub_server import HubServer, Repo

from obeaver.errors import ModelError
from obeaver.models.gguf.reader import GgufFile
from obeaver.models.progress import SilentProgress
from obeaver.models.pull import ensure_model
from obeaver.models.split_files import model_stem, part_names
from obeaver.models.store import Store, StoredModel

TINY = TinyGguf()


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "parts"
    folder.mkdir()
    TINY.write(folder / "My-Model.gguf", tensors_each=8)
    found = sorted(folder.iterdir())
    assert [path.name for path in found] == [f"My-Model-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    return found


def get(asked: str | Path, store: Store) -> StoredModel:
    return ensure_model(str(asked), store, progress=SilentProgress(), catalog={})


def contents(stored: StoredModel) -> list[bytes]:
    return [(stored.folder / name).read_bytes() for name in ("model.onnx", "model.onnx.data", "genai_config.json")]


def test_parts_hold_what_the_whole_holds(tmp_path: Path, parts: list[Path]) -> None:
    whole = GgufFile(TINY.write(tmp_path / "whole.gguf"))
    for path in parts:
        split = GgufFile(path)
        assert split.path == parts[0]
        assert split.tensors.keys() == whole.tensors.keys()
        assert {info.part for info in split.tensors.values()} == {0, 1, 2}
        assert all(np.array_equal(split.read(name), whole.read(name)) for name in whole.tensors)


def test_any_part_means_the_model(tmp_path: Path, parts: list[Path], store: Store) -> None:
    first = get(parts[0], store)
    assert first.name.startswith("my-model-")
    assert "of-0000" not in first.name
    assert get(parts[2], store) == first
    assert contents(first) == contents(get(TINY.write(tmp_path / "whole.gguf"), store))


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_part_is_named(parts: list[Path], store: Store, missing: int) -> None:
    parts[missing - 1].unlink()
    (named, *_) = [path for path in parts if path.is_file()]
    with pytest.raises(ModelError, match=f"My-Model-0000{missing}-of-00003.gguf is not beside it: put all parts"):
        get(named, store)


def test_a_part_under_another_name_says_what_it_should_be_called(
    tmp_path: Path, parts: list[Path], store: Store
) -> None:
    shutil.copy(parts[1], tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=r"it is part 2 of 3 of a model: call it NAME-00002-of-00003\.gguf"):
        get(tmp_path / "model.gguf", store)


def test_parts_that_changed_places_are_noticed(parts: list[Path], store: Store) -> None:
    parts[1].rename(parts[1].with_suffix(".tmp"))
    parts[2].rename(parts[1])
    parts[1].with_suffix(".tmp").rename(parts[2])
    with pytest.raises(ModelError, match="its name says part 2 of 3, and its header part 3 of 3"):
        get(parts[0], store)


def test_all_parts_are_fetched_from_the_hub(tmp_path: Path, parts: list[Path], store: Store, hub: HubServer) -> None:
    hub.repos["Org/Split"] = Repo({path.name: path.read_bytes() for path in parts})
    stored = get("hf:Org/Split", store)
    assert stored.name == "my-model"
    assert contents(stored) == contents(get(TINY.write(tmp_path / "whole.gguf"), store))
    num_asked = len(hub.gets(""))
    assert get("hf:Org/Split", store) == stored
    assert len(hub.gets("")) == num_asked
    assert stored.recipe is not None
    # The same parts in a folder of one's own are known as the same model.
    local = get(parts[1], store)
    assert local.recipe == stored.recipe


@pytest.mark.parametrize(
    ("name", "first", "count", "stem"),
    [
        ("m-00002-of-00003.gguf", "m-00001-of-00003.gguf", 3, "m"),
        ("a/b-Q8_0-00001-of-00002.GGUF", "a/b-Q8_0-00001-of-00002.GGUF", 2, "a/b-Q8_0"),
        ("m.gguf", "m.gguf", 1, "m"),
        ("m-00004-of-00003.gguf", "m-00004-of-00003.gguf", 1, "m-00004-of-00003"),
        ("m-00000-of-00003.gguf", "m-00000-of-00003.gguf", 1, "m-00000-of-00003"),
    ],
)
def test_names_of_parts(name: str, first: str, count: int, stem: str) -> None:
    assert (part_names(name)[0], len(part_names(name)), model_stem(name)) == (first, count, stem)
