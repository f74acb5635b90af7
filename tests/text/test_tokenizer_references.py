"""Ids against tokenizers that are not ours: llama.cpp's, and the models' own."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.official_tokenizers import (
    byte_level_gguf,
    official_tokenizer,
    packaged_file,
    read_definition,
    sentencepiece_gguf,
    tekken_gguf,
)
from tokenizers import Tokenizer as Reference

from obeaver.models.gguf.vocabulary import write_tokenizer
from obeaver.text.tokenizer import Tokenizer

DATA = Path(__file__).parent.parent / "data" / "tokenizer"
CORPUS: list[str] = json.loads((DATA / "corpus.json").read_text(encoding="utf-8"))
NUM_RANDOM_TEXTS = 300

ToGguf = Callable[[dict[str, Any]], dict[str, object]]


def random_texts() -> list[str]:
    """Pieces and characters of the corpus, in any order."""
    source = random.Random(20)
    characters = "".join(CORPUS)

    def part() -> str:
        if source.random() < 0.4:
            return source.choice(CORPUS)[: source.randint(0, 8)]
        return "".join(source.choices(characters, k=source.randint(1, 6)))

    return ["".join(part() for _ in range(source.randint(1, 12))) for _ in range(NUM_RANDOM_TEXTS)]


@pytest.mark.real
def test_the_default_model_has_the_ids_of_llama_cpp(default_model: Path) -> None:
    tokenizer = Tokenizer.from_folder(default_model)
    rows = json.loads((DATA / "smollm2_llama_cpp.json").read_text(encoding="utf-8"))
    assert len(rows) == 2 * len(CORPUS)
    for row in rows:
        assert tokenizer.encode(row["text"], special=row["parse_special"]) == row["ids"], row["text"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "to_gguf"),
    [
        ("qwen3", lambda definition: byte_level_gguf(definition, "qwen2")),
        ("llama3_1", lambda definition: byte_level_gguf(definition, "llama-bpe")),
        ("gpt4o", lambda definition: byte_level_gguf(definition, "gpt-4o")),
        ("gptoss", lambda definition: byte_level_gguf(definition, "gpt-4o")),
        ("deepseek_v3", lambda definition: byte_level_gguf(definition, "deepseek-v3")),
        ("llama2", lambda definition: sentencepiece_gguf(definition, space_prefix=True)),
        ("gemma3", lambda definition: sentencepiece_gguf(definition, space_prefix=False)),
    ],
    ids=["qwen3", "llama3_1", "gpt4o", "gptoss", "deepseek_v3", "llama2", "gemma3"],
)
def test_an_imported_vocabulary_has_the_ids_and_the_text_of_the_official_tokenizer(
    name: str, to_gguf: ToGguf, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    path = official_tokenizer(name, pytestconfig.cache.mkdir("official_tokenizers"))
    write_tokenizer(to_gguf(read_definition(path)), tmp_path)
    reference, imported = Reference.from_file(str(path)), Tokenizer.from_folder(tmp_path)
    for special in (False, True):
        reference.encode_special_tokens = not special
        for text in [*CORPUS, *random_texts(), "\n".join(CORPUS)]:
            ids = reference.encode(text, add_special_tokens=False).ids
            assert imported.encode(text, special=special) == ids, text
            assert imported.decode(ids) == reference.decode(ids), text


@pytest.mark.slow
def test_mistrals_vocabulary_has_the_ids_of_mistrals_own_library(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    cache = pytestconfig.cache.mkdir("official_tokenizers")
    path = packaged_file("mistral-common==1.13.1", "mistral_common/data/tekken_240911.json", cache)
    write_tokenizer(tekken_gguf(read_definition(path), "tekken"), tmp_path)
    imported = Tokenizer.from_folder(tmp_path)
    facts = json.loads((DATA / "mistral_tekken.json").read_text(encoding="utf-8"))
    assert len(facts["rows"]) == len(CORPUS) + 1
    for row in facts["rows"]:
        assert imported.encode(row["text"], special=False) == row["ids"], row["text"]
        assert imported.decode(row["ids"]) == row["text"]
