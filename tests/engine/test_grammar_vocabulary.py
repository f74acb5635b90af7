"""What grammars know of a tokenizer, held to what their library itself reads from the tokenizer's file."""

from collections.abc import Sequence
from pathlib import Path

import llguidance
import pytest
from support.grammars import compiler_for
from support.small_tokenizers import byte_level_metadata, sentencepiece_metadata, tokenizer_of

from obeaver.app.chat_loader import grammar_vocabulary
from obeaver.engine.grammar.grammar import GrammarCompiler, choice_part, grammar_text, lark_part
from obeaver.engine.grammar.vocabulary import GrammarVocabulary, LibraryTokenizer
from obeaver.models.facts import read_facts
from obeaver.text.tokenizer import Tokenizer

TAGS = ("<tool_call>", "<>", "a>", "<a b>", "[x]", "<|x|>", "<a", "</x>", " <y>", "<z> ", "<é>", "words")
END = 2
NUM_WITHOUT_TEXT = 10

LETTERS = tuple(bytes([byte]) for byte in range(256))


def read_by_the_library(path: Path, vocab_size: int, end_ids: Sequence[int]) -> llguidance.LLTokenizer:
    return llguidance.LLTokenizer(path.read_text(encoding="utf-8"), n_vocab=vocab_size, eos_token=list(end_ids))


def differences(tokenizer: Tokenizer, vocab_size: int, end_ids: Sequence[int]) -> list[int]:
    """Ids of which grammars know something else than the library reads from the file."""
    vocabulary = grammar_vocabulary(tokenizer)
    theirs = read_by_the_library(tokenizer.json_path, vocab_size, end_ids)
    ours = llguidance.LLTokenizer(
        llguidance.TokenizerWrapper(LibraryTokenizer(vocabulary, vocab_size, end_ids[0])),
        n_vocab=vocab_size,
        eos_token=list(end_ids),
    )
    assert ours.vocab_size == theirs.vocab_size == vocab_size
    assert ours.eos_tokens == theirs.eos_tokens
    assert ours.is_canonical == theirs.is_canonical
    for grammar in ("start: /(.|\\n)*/", 'start: "<tool_call>" | "hello"'):
        assert (
            llguidance.LLMatcher(ours, grammar).compute_bitmask()
            == llguidance.LLMatcher(theirs, grammar).compute_bitmask()
        )
    return [
        i
        for i in range(tokenizer.vocab_size)
        if (ours.decode_bytes([i]), ours.is_special_token(i)) != (theirs.decode_bytes([i]), theirs.is_special_token(i))
    ]


@pytest.mark.parametrize(
    "metadata",
    [byte_level_metadata(text=TAGS), sentencepiece_metadata(control=["<c>"], text=TAGS)],
    ids=["byte level", "sentencepiece"],
)
def test_tokens_are_those_that_the_library_reads(metadata: dict[str, object], tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path, metadata)
    assert differences(tokenizer, tokenizer.vocab_size + NUM_WITHOUT_TEXT, [END, 0]) == []


@pytest.mark.real
def test_tokens_of_the_default_model_are_those_that_the_library_reads(default_model: Path) -> None:
    facts = read_facts(default_model)
    assert differences(Tokenizer.from_folder(default_model), facts.vocab_size, facts.eos_ids) == []


@pytest.mark.real
def test_forced_texts_of_the_default_model_are_cut_as_it_cuts_them(default_model: Path) -> None:
    tokenizer, compiler = Tokenizer.from_folder(default_model), compiler_for(default_model)
    text = "the answer is forty-two, or 42.5"
    forced = compiler.compile(grammar_text(choice_part([text]))).forced()
    assert forced
    assert tokenizer.encode(text)[: len(forced)] == forced


def refusing(_text: str) -> list[int]:
    raise RuntimeError("this text cannot be tokenised")


def test_a_tokenizer_that_refuses_a_text_leaves_grammars_as_they_are() -> None:
    vocabulary = GrammarVocabulary([b"<end>", *LETTERS], {0}, refusing)
    matcher = GrammarCompiler(vocabulary, 257, [0]).compile(grammar_text(lark_part('start: "hello"')))
    matcher.forced()
    for byte in b"hello":
        assert matcher.allowed().nonzero()[0].tolist() == [byte + 1]
        matcher.accept(byte + 1)
    assert matcher.finished
