"""Which of `obeaver embed`'s words is the model: a name, an address or a place; anything else is a text."""

from pathlib import Path

import pytest
from reference.tiny_gguf import TinyGguf

from obeaver.cli.embed import split_words
from obeaver.models.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.mark.parametrize("word", ["all-minilm-l6-v2", "hf:org/repo", "https://example.org/m.gguf", "ollama:bge-m3"])
def test_a_name_or_an_address_is_a_model(store: Store, word: str) -> None:
    assert split_words([word, "text"], store) == (word, ["text"])


def test_a_place_is_a_model_and_never_its_own_text(store: Store, tmp_path: Path) -> None:
    file = TinyGguf(layers=1).write(tmp_path / "m.gguf")
    for place in (file, tmp_path):
        assert split_words([str(place), "text"], store) == (str(place), ["text"])


@pytest.mark.parametrize("word", ["beavers", "either/or", "~nobody", "x" * 5000, "a\0b"])
def test_anything_else_is_a_text(store: Store, word: str) -> None:
    assert split_words([word, "text"], store) == (None, [word, "text"])
