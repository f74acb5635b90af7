"""What size alone tells of a text's tokens, and that long texts are tokenised beside everything else."""

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_tokenizers import byte_level_metadata, sentencepiece_metadata, tokenizer_of

from obeaver.text.prompt import Piece, RenderedPrompt
from obeaver.text.prompt_size import HONEST_CHARS_PER_TOKEN, PIECE_CHARS, SAFETY, SizeBound, TooManyTokens, size_bound
from obeaver.text.tokenizer import Tokenizer

ALL_BYTES = [bytes([byte]) for byte in range(256)]
BYTE_LEVEL = {"type": "ByteLevel"}
REMOVED = {"type": "Split", "behavior": "Removed"}


@pytest.fixture(scope="module", params=["byte level", "sentencepiece"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    metadata = byte_level_metadata() if request.param == "byte level" else sentencepiece_metadata()
    return tokenizer_of(tmp_path_factory.mktemp("tokenizer"), metadata)


@given(text=st.text())
def test_no_text_has_fewer_tokens_than_its_size_says(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.size_bound is not None
    assert len(tokenizer.encode(text)) >= tokenizer.size_bound.fewest_tokens([text])


@given(text=st.text(max_size=200), limit=st.integers(0, 100))
def test_a_text_that_fits_is_never_refused(tokenizer: Tokenizer, text: str, limit: int) -> None:
    ids = tokenizer.encode(text)
    if len(ids) <= limit:
        assert tokenizer.encode(text, limit=limit) == ids


def test_what_is_too_long_by_its_size_is_refused_before_it_is_tokenised(tokenizer: Tokenizer) -> None:
    assert tokenizer.size_bound is not None
    longest = tokenizer.size_bound.most_bytes
    make: Callable[..., list[int]]
    for make in (tokenizer.encode, lambda text, limit: tokenizer.encode(text, special=True, limit=limit)):
        with pytest.raises(TooManyTokens) as caught:
            make("a" * (10 * longest + 1), limit=10)
        assert caught.value.at_least == 11
    with pytest.raises(TooManyTokens):
        tokenizer.encode_prompt(RenderedPrompt((Piece("a" * 11 * longest, is_control=False),)), limit=10)


def test_what_is_too_long_by_pieces_is_refused_before_all_of_it_is_tokenised(default_model: Path) -> None:
    tokenizer = _default(default_model)
    limit = 2 * PIECE_CHARS // HONEST_CHARS_PER_TOKEN
    fits_by_size = "a b c " * (limit * 2)
    assert tokenizer.size_bound is not None
    assert not tokenizer.size_bound.exceeds([fits_by_size], limit)
    with pytest.raises(TooManyTokens) as caught:
        tokenizer.encode(fits_by_size, limit=limit)
    assert limit <= caught.value.at_least < len(fits_by_size) // SAFETY


@given(text=st.text(max_size=100))
def test_the_default_models_texts_are_bounded_by_its_longest_token(default_model: Path, text: str) -> None:
    tokenizer = _default(default_model)
    bound = tokenizer.size_bound
    assert bound is not None
    assert bound.most_bytes == max(map(len, map(tokenizer.token_bytes, range(tokenizer.vocab_size))))
    assert len(tokenizer.encode(text)) >= bound.fewest_tokens([text])


def test_characters_that_the_default_model_drops_are_not_counted(default_model: Path) -> None:
    tokenizer = _default(default_model)
    assert tokenizer.size_bound is not None
    text = tokenizer.size_bound.dropped * 1000
    assert text
    assert tokenizer.encode(text, limit=0) == []


@cache
def _default(folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(folder)


@pytest.mark.parametrize(
    "definition",
    [
        {"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "BertNormalizer"}},
        {"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}},
        {"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "Replace", "pattern": {"String": "  "}, "content": ""}},
        {"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "a"}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTE_LEVEL, {"type": "WhitespaceSplit"}]}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [REMOVED, BYTE_LEVEL]}},
        {"pre_tokenizer": BYTE_LEVEL, "added_tokens": [{"content": "<x>", "lstrip": True}]},
        {"pre_tokenizer": {"type": "Metaspace"}, "model": {"byte_fallback": False}},
    ],
)
def test_where_text_may_be_dropped_size_says_nothing(definition: dict[str, Any]) -> None:
    assert size_bound(definition, ALL_BYTES) is None


@pytest.mark.parametrize(
    ("definition", "most"),
    [
        ({"pre_tokenizer": BYTE_LEVEL}, 3),
        ({"pre_tokenizer": BYTE_LEVEL, "normalizer": {"type": "NFC"}}, 12),
        ({"model": {"byte_fallback": True}, "normalizer": {"type": "Prepend", "prepend": "▁"}}, 3),
        (
            {
                "model": {"byte_fallback": True},
                "normalizer": {
                    "type": "Sequence",
                    "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}],
                },
            },
            3,
        ),
    ],
)
def test_where_every_byte_is_kept_the_longest_token_bounds_a_text(definition: dict[str, Any], most: int) -> None:
    assert size_bound(definition, [*ALL_BYTES, b"abc"]) == SizeBound(most)


def test_a_vocabulary_may_lack_bytes_of_ascii_alone() -> None:
    without = [row for row in ALL_BYTES if row not in (b"\x04", b"\xc0")]
    assert size_bound({"pre_tokenizer": BYTE_LEVEL}, without) == SizeBound(1, "\x04")
    assert size_bound({"pre_tokenizer": BYTE_LEVEL}, [row for row in without if row != b"\x80"]) is None


def test_other_threads_run_while_a_long_text_is_tokenised(default_model: Path) -> None:
    tokenizer = _default(default_model)
    done = threading.Event()

    def tokenise() -> None:
        tokenizer.encode("the quick brown fox " * 30_000)
        done.set()

    thread = threading.Thread(target=tokenise)
    thread.start()
    num_turns = 0
    while not done.wait(0.0005):
        num_turns += 1
    thread.join()
    # It takes some hundred milliseconds anywhere. Were the lock held, there would be a turn or two.
    assert num_turns > 10
