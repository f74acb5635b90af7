"""Which models a server can be asked for, and that it is asked by name alone."""

from pathlib import Path

import pytest
from support.scripted_loader import folder_model, store_model
from support.scripted_model import write_model_folder

from obeaver.errors import ModelError
from obeaver.models.library import ChatLibrary
from obeaver.models.store import Store


def test_stored_models_and_those_that_are_known_are_listed_by_name(store: Store, tmp_path: Path) -> None:
    write_model_folder(tmp_path)
    store_model(store, "stored")
    library = ChatLibrary(store, known=[folder_model("elsewhere", tmp_path)])
    assert [model.stored.name for model in library.list()] == ["elsewhere", "stored"]
    assert [model.summary.folder for model in library.list()] == [tmp_path, store.home / "models" / "stored"]


def test_models_that_cannot_chat_are_neither_listed_nor_found(store: Store) -> None:
    with store.staging("encoder") as folder:
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with store.staging("no-template") as folder:
        write_model_folder(folder)
        (folder / "chat_template.jinja").unlink()
    library = ChatLibrary(store)
    assert library.list() == []
    assert library.find("encoder") is None


@pytest.mark.parametrize("name", ["Stored", "STORED"])
def test_names_are_found_in_any_case(store: Store, name: str) -> None:
    assert ChatLibrary(store).find(name) is None
    stored = store_model(store, "stored")
    assert ChatLibrary(store).find(name) == stored


def test_a_damaged_model_is_not_listed_and_its_name_says_why(store: Store) -> None:
    stored = store_model(store, "stored")
    (stored.folder / "tokenizer.json").unlink()
    library = ChatLibrary(store)
    assert library.list() == []
    with pytest.raises(ModelError, match=r"it is damaged \(tokenizer.json is missing\): remove it and get it again"):
        library.find("stored")


def test_nothing_is_found_by_a_path(store: Store, tmp_path: Path) -> None:
    stored = store_model(store, "stored")
    for path in (str(stored.folder), "./stored", "models/stored", "../models/stored", "stored/", "stored\0", ""):
        assert ChatLibrary(store).find(path) is None
