"""No invalid answer can be written: random schemas, an adversary in place of a model, and two independent validators.

`OBEAVER_FORM_PAIRS` sets how many pairs of schema and preferences are tried.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.adversary import Adversary
from support.grammars import compiler_for
from support.random_schemas import random_schema
from support.schema_judges import objections
from support.scripted_model import END_ID, VOCAB_SIZE, make_grammars

from obeaver.engine.grammar import json_schema
from obeaver.engine.grammar.grammar import GrammarCompiler, GrammarError, grammar_text, json_schema_part
from obeaver.errors import GrammarTooComplex
from obeaver.models.facts import read_facts
from obeaver.text.tokenizer import Tokenizer

NUM_PAIRS = int(os.environ.get("OBEAVER_FORM_PAIRS", "1000"))
PAIRS_EACH = 4
NUM_TOKENS = 48


class Trial:
    """A tokenizer's grammars and its adversary."""

    def __init__(self, compiler: GrammarCompiler, adversary: Adversary) -> None:
        self._compiler = compiler
        self._adversary = adversary
        self.counts: Counter[str] = Counter()

    def faults(self, num_pairs: int, seed: int = 0) -> Iterator[str]:
        """Invalid answers, each with its schema, until so many pairs have been tried."""
        while self.counts["pairs"] < num_pairs:
            seed += 1
            schema = random_schema(Random(seed))
            try:
                grammar = grammar_text(json_schema_part(schema))
                self._compiler.compile(grammar)
            except GrammarError:
                self.counts["refused"] += 1
                continue
            self.counts["compiled"] += 1
            for preferences in range(PAIRS_EACH):
                self.counts["pairs"] += 1
                yield from self._fault(schema, grammar, seed * PAIRS_EACH + preferences)

    def _fault(self, schema: dict[str, Any], grammar: str, seed: int) -> list[str]:
        try:
            answer = self._adversary.answer(self._compiler.compile(grammar), seed, NUM_TOKENS)
        except GrammarTooComplex:
            self.counts["stuck"] += 1
            return []
        if answer is None:
            return []
        self.counts["answers"] += 1
        found = objections(schema, answer)
        return [f"{answer} under {json.dumps(schema, ensure_ascii=False)}: {found}"] if found else []


def bytewise() -> Trial:
    """One token a byte: the fewest surprises at a token's edge, and fast."""
    return Trial(make_grammars(), Adversary([bytes([i]) for i in range(256)], [END_ID], VOCAB_SIZE))


def test_no_answer_is_invalid_whatever_is_preferred() -> None:
    trial = bytewise()
    assert list(trial.faults(NUM_PAIRS)) == []
    assert trial.counts["answers"] > 0.7 * NUM_PAIRS
    assert trial.counts["stuck"] < 0.01 * NUM_PAIRS
    assert trial.counts["compiled"] > trial.counts["refused"]


@pytest.mark.real
def test_no_answer_of_the_default_models_tokens_is_invalid(default_model: Path) -> None:
    facts = read_facts(default_model)
    tokenizer = Tokenizer.from_folder(default_model)
    compiler = compiler_for(default_model)
    texts = [tokenizer.token_bytes(i) for i in range(facts.vocab_size)]
    trial = Trial(compiler, Adversary(texts, facts.eos_ids, facts.vocab_size))
    assert list(trial.faults(NUM_PAIRS, seed=10**6)) == []
    assert trial.counts["answers"] > 0.7 * NUM_PAIRS


def test_the_adversary_finds_patterns_that_are_handed_on_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "portable_pattern", lambda pattern: pattern)
    assert any(bytewise().faults(NUM_PAIRS))
