from pathlib import Path

import pytest
from support.tiny_encoder import WORDS, write_tokenizer

from obeaver.text.tokenizer import Tokenizer

PAD, UNK, CLS, SEP = range(4)
W0 = WORDS.index("w0")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    write_tokenizer(tmp_path)
    return Tokenizer.from_folder(tmp_path)


def test_a_text_gets_the_control_tokens_of_its_model(tokenizer: Tokenizer) -> None:
    (text,) = tokenizer.encode_inputs(["w0 w1"])
    assert (text.ids, text.type_ids, text.num_cut) == ([CLS, W0, W0 + 1, SEP], [0, 0, 0, 0], 0)


def test_a_pair_has_two_segments(tokenizer: Tokenizer) -> None:
    (pair,) = tokenizer.encode_inputs([("w0", "w1 w2")])
    assert pair.ids == [CLS, W0, SEP, W0 + 1, W0 + 2, SEP]
    assert pair.type_ids == [0, 0, 0, 1, 1, 1]


def test_control_tokens_in_a_text_are_plain_text(tokenizer: Tokenizer) -> None:
    (text,) = tokenizer.encode_inputs(["w0 [SEP] w1"])
    assert text.ids == [CLS, W0, *[UNK] * 3, W0 + 1, SEP]


def test_texts_of_one_batch_are_not_padded(tokenizer: Tokenizer) -> None:
    assert [len(text.ids) for text in tokenizer.encode_inputs(["w0", "w0 w1 w2", "w0 w1"])] == [3, 5, 4]


def test_a_long_text_keeps_its_end_token_and_tells_what_was_cut(tokenizer: Tokenizer) -> None:
    (text,) = tokenizer.encode_inputs([" ".join(f"w{n}" for n in range(10))], limit=6)
    assert (text.ids, text.num_cut) == ([CLS, W0, W0 + 1, W0 + 2, W0 + 3, SEP], 6)
    assert len(text.type_ids) == 6


def test_a_text_at_the_limit_is_whole(tokenizer: Tokenizer) -> None:
    (text,) = tokenizer.encode_inputs(["w0 w1"], limit=4)
    assert (text.ids, text.num_cut) == ([CLS, W0, W0 + 1, SEP], 0)


def test_a_long_pair_loses_the_end_of_its_second_text(tokenizer: Tokenizer) -> None:
    (pair,) = tokenizer.encode_inputs([("w0", "w1 w2 w3 w4")], limit=6)
    assert (pair.ids, pair.num_cut) == ([CLS, W0, SEP, W0 + 1, W0 + 2, SEP], 2)


def test_half_of_a_surrogate_pair_counts_as_a_replacement_character(tokenizer: Tokenizer) -> None:
    assert [text.ids for text in tokenizer.encode_inputs(["w0 \ud800"])] == [
        text.ids for text in tokenizer.encode_inputs(["w0 \ufffd"])
    ]
    assert [text.ids for text in tokenizer.encode_inputs([("w0", "\ud800")])] == [
        text.ids for text in tokenizer.encode_inputs([("w0", "\ufffd")])
    ]
