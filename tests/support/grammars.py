"""Compilers of grammars for tokenizers at hand."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from obeaver.app.chat_loader import grammar_vocabulary
from obeaver.engine.grammar.grammar import GrammarCompiler
from obeaver.models.facts import read_facts
from obeaver.text.tokenizer import Tokenizer


def compiler_for(folder: Path) -> GrammarCompiler:
    """For the model in a folder."""
    facts = read_facts(folder)
    return GrammarCompiler(grammar_vocabulary(Tokenizer.from_folder(folder)), facts.vocab_size, facts.eos_ids)


def compiler_of_json(tokenizer_json: str, vocab_size: int, eos_ids: Sequence[int]) -> GrammarCompiler:
    """For the text of a tokenizer.json."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        path.write_text(tokenizer_json, encoding="utf-8")
        return GrammarCompiler(grammar_vocabulary(Tokenizer(path, {})), vocab_size, eos_ids)
