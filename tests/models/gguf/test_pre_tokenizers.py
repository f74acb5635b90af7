"""llama.cpp's own tests of vocabularies: what each cuts, and what ids come of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from obeaver.errors import ModelError
from obeaver.models.gguf.pre_tokenizers import PRE_TOKENIZERS, pre_tokenizer
from obeaver.models.gguf.vocabulary import write_tokenizer
from obeaver.text.tokenizer import Tokenizer

DATA = Path(__file__).parent.parent.parent / "data" / "tokenizer"
VOCABULARIES: dict[str, dict[str, Any]] = json.loads((DATA / "llama_cpp_vocabularies.json").read_text("utf-8"))
NUM_CASES = 47


def imported(vocabulary: dict[str, Any], folder: Path, pre: str | None = None) -> Tokenizer:
    """The tokenizer of a recorded vocabulary. Its tokens are numbered by their place among those that are recorded."""
    tokens = vocabulary["tokens"]
    fields = {
        "model": vocabulary["model"],
        "pre": pre or vocabulary["pre"],
        "tokens": list(tokens),
        "token_type": [kind for _, kind in tokens.values()],
        "merges": vocabulary["merges"],
    }
    write_tokenizer({f"tokenizer.ggml.{key}": value for key, value in fields.items()}, folder)
    return Tokenizer.from_folder(folder)


def ids_of(vocabulary: dict[str, Any], tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids in the whole vocabulary."""
    whole = [index for index, _ in vocabulary["tokens"].values()]
    return [whole[place] for place in tokenizer.encode(text)]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_has_the_ids_of_llama_cpp(name: str, tmp_path: Path) -> None:
    tokenizer = imported(VOCABULARIES[name], tmp_path)
    cases = VOCABULARIES[name]["cases"]
    assert len(cases) >= NUM_CASES - 1
    for text, ids in cases:
        assert ids_of(VOCABULARIES[name], tokenizer, text) == ids, text


def test_another_cut_is_found_out(tmp_path: Path) -> None:
    vocabulary = VOCABULARIES["deepseek-coder"]
    tokenizer = imported(vocabulary, tmp_path, pre="gpt-2")
    assert any(ids_of(vocabulary, tokenizer, text) != ids for text, ids in vocabulary["cases"])


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("falcon3 pixtral lfm2 llama3", "llama-bpe"),
        ("refact starcoder command-r exaone codeshell", "smollm"),
        ("phi-2 mpt olmo", "gpt-2"),
        ("deepseek-r1-qwen megrez", "qwen2"),
        ("smaug-bpe chatglm-bpe", "dbrx"),
        ("llama4 minimax-m2", "gpt-4o"),
        ("hunyuan-dense", "deepseek-v3"),
    ],
)
def test_names_that_stand_for_one_rule(names: str, rule: str) -> None:
    assert all(pre_tokenizer(name) is pre_tokenizer(rule) for name in names.split())


ONE_NAME_A_RULE = {id(rule): name for name, rule in PRE_TOKENIZERS.items()}.values()


@pytest.mark.parametrize("name", ONE_NAME_A_RULE)
def test_every_rule_cuts_text_and_loses_nothing(name: str, tmp_path: Path) -> None:
    tokenizer = imported(VOCABULARIES["gpt-2"], tmp_path, pre=name)
    text = "Hello World's 12345 tests:\n\n  naïve 東京 and 3.14, HTMLParser != x"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ModelError, match=r"'klingon'.*qwen2"):
        pre_tokenizer("klingon")
