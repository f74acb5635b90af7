import json
from pathlib import Path
from typing import Any

import pytest
from support.small_tokenizers import CHATML, byte_level_metadata, sentencepiece_metadata

from obeaver.errors import ModelError
from obeaver.models.gguf.vocabulary import TokenizerFacts, write_tokenizer


def written(folder: Path, metadata: dict[str, object]) -> tuple[TokenizerFacts, dict[str, Any]]:
    facts = write_tokenizer(metadata, folder)
    return facts, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def test_the_facts_of_a_byte_level_vocabulary(tmp_path: Path) -> None:
    metadata = byte_level_metadata(bos_token_id=0, eos_token_id=2, padding_token_id=2, unknown_token_id=2)
    facts, _ = written(tmp_path, metadata)
    assert (facts.vocab_size, facts.bos_id, facts.pad_id, facts.unk_id, facts.add_bos) == (264, 0, 2, 2, False)
    assert facts.special_tokens == {
        "bos_token": "<|im_start|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }


def test_the_facts_of_a_sentencepiece_vocabulary_that_names_no_tokens(tmp_path: Path) -> None:
    facts, _ = written(tmp_path, sentencepiece_metadata())
    assert (facts.unk_id, facts.bos_id, facts.eos_ids, facts.pad_id, facts.add_bos) == (0, 1, (2,), None, True)


def test_the_end_token_of_the_file_comes_first_and_known_ones_follow(tmp_path: Path) -> None:
    control = ["<|endoftext|>", "<|eot_id|>", "<|other|>", "<|end|>", "<|im_end|>"]
    metadata = byte_level_metadata(control, eos_token_id=4, eot_token_id=2)
    assert written(tmp_path, metadata)[0].eos_ids == (4, 2, 0, 1, 3)


def test_a_vocabulary_may_have_no_end_token(tmp_path: Path) -> None:
    facts, _ = written(tmp_path, byte_level_metadata(control=["<a>"]))
    assert facts.eos_ids == ()
    assert facts.special_tokens == {}


def test_an_end_token_is_a_control_token_whatever_the_file_calls_it(tmp_path: Path) -> None:
    _, tokenizer = written(tmp_path, byte_level_metadata(control=["<a>"], text=["<|im_end|>"]))
    assert [(token["content"], token["special"]) for token in tokenizer["added_tokens"]] == [
        ("<a>", True),
        ("<|im_end|>", True),
    ]


def test_types_become_added_tokens_and_vocabulary(tmp_path: Path) -> None:
    metadata = sentencepiece_metadata(control=["[INST]"], text=["<table>", "[PAD]"])
    types = metadata["tokenizer.ggml.token_type"]
    assert isinstance(types, list)
    types[3 + 256 + 2] = 5  # UNUSED
    _, tokenizer = written(tmp_path, metadata)
    added = {token["content"]: token["special"] for token in tokenizer["added_tokens"]}
    assert added == {"<unk>": True, "<s>": True, "</s>": True, "[INST]": True, "<table>": False}
    assert tokenizer["model"]["vocab"]["[PAD]"] == 3 + 256 + 2


def test_runs_of_spaces_are_merged_and_not_added(tmp_path: Path) -> None:
    _, tokenizer = written(tmp_path, sentencepiece_metadata(text=["  ", "   "]))
    assert tokenizer["model"]["vocab"]["▁▁▁"] == 3 + 256 + 1
    assert tokenizer["model"]["merges"][:3] == [["▁▁", "▁"], ["▁", "▁▁"], ["▁", "▁"]]
    assert "  " not in {token["content"] for token in tokenizer["added_tokens"]}


def test_merges_are_ranked_by_score(tmp_path: Path) -> None:
    _, tokenizer = written(tmp_path, sentencepiece_metadata())
    assert tokenizer["model"]["merges"] == [
        ["▁", "hello"],
        ["he", "llo"],
        ["ll", "o"],
        ["l", "l"],
        ["h", "e"],
    ]


def test_control_tokens_are_never_the_result_of_a_merge(tmp_path: Path) -> None:
    _, tokenizer = written(tmp_path, sentencepiece_metadata(control=["hell", "oh"]))
    assert not {"hell", "oh"} & {"".join(pair) for pair in tokenizer["model"]["merges"]}


@pytest.mark.parametrize(("prefix", "strips"), [(True, True), (False, False), (None, True)])
def test_the_space_before_a_text_is_put_and_stripped_together(
    tmp_path: Path, prefix: bool | None, strips: bool
) -> None:
    _, tokenizer = written(tmp_path, sentencepiece_metadata(add_space_prefix=prefix))
    assert ("Prepend" in json.dumps(tokenizer["normalizer"])) is strips
    assert ("Strip" in json.dumps(tokenizer["decoder"])) is strips


@pytest.mark.parametrize(
    ("pre", "add_bos_token", "expected"),
    [
        ("gpt-2", None, False),
        ("gpt-2", True, True),
        ("llama-bpe", None, True),
        ("llama-bpe", False, False),
        ("llama3", None, True),
        ("qwen2", None, False),
        ("smollm", None, False),
    ],
)
def test_bos_is_added_as_the_file_says_or_else_as_its_kind_does(
    tmp_path: Path, pre: str, add_bos_token: bool | None, expected: bool
) -> None:
    metadata = byte_level_metadata(pre=pre, bos_token_id=0, add_bos_token=add_bos_token)
    facts, tokenizer = written(tmp_path, metadata)
    assert facts.add_bos is expected
    assert ("TemplateProcessing" in json.dumps(tokenizer["post_processor"])) is expected
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["add_bos_token"] is expected


def test_bos_is_not_added_where_there_is_none(tmp_path: Path) -> None:
    assert not written(tmp_path, byte_level_metadata(add_bos_token=True))[0].add_bos


def test_the_template_of_the_file_is_written_as_it_is(tmp_path: Path) -> None:
    template = "{{ messages }}\r\n<é>"
    facts, _ = written(tmp_path, byte_level_metadata() | {"tokenizer.chat_template": template})
    assert facts.chat_template == template
    assert (tmp_path / "chat_template.jinja").read_bytes() == template.encode()


def test_a_default_template_is_taken_where_there_are_several(tmp_path: Path) -> None:
    metadata = byte_level_metadata() | {"tokenizer.chat_template.default": "x", "tokenizer.chat_template.rag": "y"}
    assert written(tmp_path, metadata)[0].chat_template == "x"


def test_a_vocabulary_with_chatml_tokens_and_no_template_gets_chatml(tmp_path: Path) -> None:
    facts, _ = written(tmp_path, byte_level_metadata(control=CHATML))
    assert facts.chat_template is not None
    assert "<|im_start|>" in facts.chat_template
    assert (tmp_path / "chat_template.jinja").exists()


def test_another_vocabulary_without_a_template_gets_none(tmp_path: Path) -> None:
    facts, _ = written(tmp_path, sentencepiece_metadata())
    assert facts.chat_template is None
    assert not (tmp_path / "chat_template.jinja").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "tokenizer None"),
        (byte_level_metadata(model="bert"), "tokenizer 'bert'"),
        (byte_level_metadata(pre="klingon"), "pre-tokenizer 'klingon'"),
        (byte_level_metadata(pre=None), "pre-tokenizer None"),
        (byte_level_metadata(tokens=None), r"tokenizer\.ggml\.tokens is missing"),
        (byte_level_metadata(tokens=[]), r"tokenizer\.ggml\.tokens is missing"),
        (byte_level_metadata(tokens=[1, 2]), r"tokenizer\.ggml\.tokens is missing or is no list of strings"),
        (byte_level_metadata(control=["a", "<b>"]), "'a' twice"),
        (byte_level_metadata(merges=None), r"tokenizer\.ggml\.merges is missing"),
        (byte_level_metadata(merges=["h x"]), "'h x'"),
        (byte_level_metadata(token_type=None), r"tokenizer\.ggml\.token_type is missing"),
        (byte_level_metadata(token_type=[1]), "1 entries for 264 tokens"),
        (byte_level_metadata(token_type=[9] * 264), "unknown type: 9"),
        (byte_level_metadata(eos_token_id=264), "eos_token_id is 264, and there are 264 tokens"),
        (byte_level_metadata(bos_token_id="x"), "bos_token_id is 'x'"),
        (sentencepiece_metadata(scores=None), r"tokenizer\.ggml\.scores is missing"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, metadata: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        write_tokenizer(metadata, tmp_path)
    assert list(tmp_path.iterdir()) == []
