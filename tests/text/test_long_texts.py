"""Texts that are far too long for an encoder, told from their size and from pieces of them."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.tiny_encoder import write_tokenizer

from obeaver.text.long_texts import MOST_CHARS, Beginning, TooManyChars, beginning
from obeaver.text.prompt_size import GROUP_CHARS, TooManyTokens, in_groups
from obeaver.text.tokenizer import ModelInput, Tokenizer

LIMIT = 16
WORDS = "w1 " * MOST_CHARS


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    write_tokenizer(tmp_path)
    return Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("cut", [False, True])
def test_a_text_that_may_fit_is_left_as_it_is(tokenizer: Tokenizer, cut: bool) -> None:
    for text in ("", "w1 w2", "x" * 8 * LIMIT, "x" * MOST_CHARS):
        assert beginning(tokenizer, text, LIMIT, cut=cut) == Beginning(text)


def test_a_text_that_cannot_fit_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(TooManyTokens) as refusal:
        beginning(tokenizer, WORDS, LIMIT, cut=False)
    assert LIMIT < refusal.value.at_least <= MOST_CHARS


def test_of_a_text_that_may_be_cut_the_beginning_is_left_and_the_rest_counted(tokenizer: Tokenizer) -> None:
    part = beginning(tokenizer, WORDS, LIMIT, cut=True)
    assert part.text == WORDS[:MOST_CHARS]
    assert part.num_behind + tokenizer.count(part.text) == pytest.approx(MOST_CHARS, abs=40)
    assert part.counting_rest(ModelInput([1], [0], 5)).num_cut == 5 + part.num_behind


def test_few_tokens_of_very_many_characters_are_refused(tokenizer: Tokenizer) -> None:
    text = "x" * (MOST_CHARS + 1)
    with pytest.raises(TooManyChars):
        beginning(tokenizer, text, LIMIT, cut=False)
    with pytest.raises(TooManyChars):
        beginning(tokenizer, text, LIMIT, cut=True).counting_rest(ModelInput([1], [0], 0))


def test_many_texts_are_tokenised_in_groups_of_a_bounded_size() -> None:
    half = "x" * (GROUP_CHARS // 2)
    texts = ["a", half, half, half + "b", half + "c", half * 3, "d"]
    groups = list(in_groups(texts))
    assert [len(group) for group in groups] == [2, 1, 1, 1, 1, 1]
    assert [text for group in groups for text in group] == texts
    assert list(in_groups([])) == []
    assert [len(group) for group in in_groups([(half, half), ("a", "b"), ("c", "d")])] == [1, 2]


def test_groups_change_nothing(tokenizer: Tokenizer) -> None:
    texts = ["w1 " * 30_000, "w2", "w3 " * 60_000, "w4 w5"]
    assert tokenizer.encode_inputs(texts) == [tokenizer.encode_inputs([text])[0] for text in texts]


NUM_THREADS = """
import os, sys
from pathlib import Path
from obeaver.text.tokenizer import Tokenizer
def num_threads(): return len(os.listdir("/proc/self/task"))
alone = num_threads()
tokenizer = Tokenizer.from_folder(Path(sys.argv[1]))
loaded = num_threads()
tokenizer.encode("w1 " * 10_000)
print(alone < loaded == num_threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it counts what Linux tells of a process")
def test_the_librarys_threads_are_there_before_the_first_long_text(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    run = subprocess.run([sys.executable, "-c", NUM_THREADS, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"
