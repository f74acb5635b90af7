"""`obeaver run`'s words: model or question."""

import pytest

from obeaver.cli.chat.words import Asked, split_words
from obeaver.errors import CommandError

KNOWN = ("smollm2-135m", "mine")


def split(*words: str) -> Asked:
    return split_words(words, known=KNOWN, is_model_path=lambda word: word in {"./model.gguf", "folder"})


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], Asked(None, "")),
        (["smollm2-135m"], Asked("smollm2-135m", "")),
        (["SmolLM2-135M", "Hi"], Asked("SmolLM2-135M", "Hi")),
        (["mine", "What", "is", "it?"], Asked("mine", "What is it?")),
        (["./model.gguf", "Hi"], Asked("./model.gguf", "Hi")),
        (["folder"], Asked("folder", "")),
        (["Hello"], Asked(None, "Hello")),
        (["Why is the sky blue?"], Asked(None, "Why is the sky blue?")),
        (["Why", "is", "smollm2-135m", "small?"], Asked(None, "Why is smollm2-135m small?")),
        (["2+2?"], Asked(None, "2+2?")),
        (["42"], Asked(None, "42")),
        (["What is 1/2?"], Asked(None, "What is 1/2?")),
        (["/etc/hosts: what is it?"], Asked(None, "/etc/hosts: what is it?")),
    ],
)
def test_the_first_word_is_a_model_only_where_it_is_one(words: list[str], asked: Asked) -> None:
    assert split(*words) == asked


@pytest.mark.parametrize("word", ["smollm2-135", "qwen3:4b", "llama3.2", "./none", "~/none", "none.gguf", "/none"])
def test_a_word_that_is_meant_as_a_model_is_never_taken_for_a_question(word: str) -> None:
    with pytest.raises(CommandError, match=f"there is no model '{word}'"):
        split(word, "Hi")


def test_a_slip_gets_the_right_name() -> None:
    with pytest.raises(CommandError, match="did you mean smollm2-135m"):
        split("smolm2-135m")


def test_an_unknown_model_gets_the_known_names() -> None:
    with pytest.raises(CommandError, match="obeaver models lists them; or give a path"):
        split("phi-3")
