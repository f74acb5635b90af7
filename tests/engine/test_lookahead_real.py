"""On the real model: what is computed ahead changes no answer, and spares runs where a text repeats itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.grammars import compiler_for

from obeaver.app.chat_engine import make_engine
from obeaver.config import Settings
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.sequence import Sequence
from obeaver.engine.grammar.grammar import GrammarCompiler, grammar_text, json_schema_part
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.models.facts import read_facts
from obeaver.text.tokenizer import Tokenizer

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROMPTS = {
    "a list": "apple, pear, plum, apple, pear, plum, apple, pear,",
    "code": "def area(width, height):\n    return width * height\n\n\ndef volume(width, height, depth):\n    return",
    "prose": "The beaver is a large rodent that",
}
SAMPLING: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "seeded": {"temperature": 0.8, "top_k": 50, "seed": 7},
}


@pytest.fixture(scope="module")
def engines(default_model: Path) -> Iterator[dict[str, EngineCore]]:
    facts = read_facts(default_model)
    engines = {
        name: make_engine(facts, Settings(kv_cache_mb=64, prefix_cache_mb=0, lookahead=lookahead), [])
        for name, lookahead in (("plain", 0), ("ahead", 7))
    }
    yield engines
    for engine in engines.values():
        engine.close()


def answer(engine: EngineCore, prompt_ids: list[int], neighbour: list[int] | None = None, **sampling: Any) -> list[int]:
    """What a sequence says; the neighbour comes when it has said ten tokens, and leaves before its end."""
    params = SamplingParams(max_tokens=96, **sampling)
    engine.add(Sequence(0, tuple(prompt_ids), params))
    said: list[int] = []
    while engine.has_work:
        said += [token.token_id for sequence_id, token in engine.step().advanced if sequence_id == 0]
        if neighbour and len(said) == 10:
            engine.add(Sequence(1, tuple(neighbour), SamplingParams(max_tokens=20, temperature=0.0)))
            neighbour = None
    return said


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_an_answer_is_the_same_with_lookahead_and_beside_a_neighbour(
    engines: dict[str, EngineCore], default_model: Path, prompt: str, sampling: str
) -> None:
    ids = Tokenizer.from_folder(default_model).encode(PROMPTS[prompt])
    plain = answer(engines["plain"], ids, **SAMPLING[sampling])
    num_before = engines["ahead"].stats().totals.lookahead_tokens
    assert answer(engines["ahead"], ids, **SAMPLING[sampling]) == plain
    if sampling == "greedy":  # what is drawn may say nothing twice
        assert engines["ahead"].stats().totals.lookahead_tokens > num_before
    assert answer(engines["ahead"], ids, neighbour=ids[::-1], **SAMPLING[sampling]) == plain


SCHEMAS: dict[str, dict[str, Any]] = {
    "a record": {
        "type": "object",
        "properties": {
            "full_name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer"},
            "lives_in_town": {"type": "boolean"},
        },
        "required": ["full_name", "age", "lives_in_town"],
        "additionalProperties": False,
    },
    "a choice": {"enum": ["the first of three", "the second of three", "another thing", None]},
    "one text alone": {"const": {"answer": ["forty-two", 42.5, True], "unit": "kilometres per hour"}},
    "a list": {"type": "array", "items": {"type": "object", "properties": {"identifier": {"type": "integer"}}}},
}


@pytest.fixture(scope="module")
def grammars(default_model: Path) -> GrammarCompiler:
    return compiler_for(default_model)


@pytest.fixture(scope="module")
def held_engines(default_model: Path, grammars: GrammarCompiler) -> Iterator[dict[str, EngineCore]]:
    facts = read_facts(default_model)
    engines = {
        name: make_engine(facts, Settings(kv_cache_mb=64, prefix_cache_mb=0, lookahead=lookahead), [], grammars)
        for name, lookahead in (("plain", 0), ("ahead", 7))
    }
    yield engines
    for engine in engines.values():
        engine.close()


@pytest.mark.parametrize("sampling", [*SAMPLING.values(), {"temperature": 2.0, "top_k": 0, "seed": 3}])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_answer_under_a_schema_is_the_same_with_its_log_probabilities(
    held_engines: dict[str, EngineCore], default_model: Path, schema: str, sampling: dict[str, Any]
) -> None:
    ids = Tokenizer.from_folder(default_model).encode(PROMPTS["prose"])
    params = {"grammar": grammar_text(json_schema_part(SCHEMAS[schema])), "num_logprobs": 5, **sampling}
    plain, ahead = (tokens_of(held_engines[name], ids, **params) for name in ("plain", "ahead"))
    assert ahead == plain


def test_much_of_a_text_that_alone_can_follow_needs_no_run_of_its_own(
    held_engines: dict[str, EngineCore], default_model: Path
) -> None:
    ids = Tokenizer.from_folder(default_model).encode(PROMPTS["prose"])
    grammar = grammar_text(json_schema_part(SCHEMAS["one text alone"]))
    before = held_engines["ahead"].stats().totals
    told = tokens_of(held_engines["ahead"], ids, grammar=grammar, temperature=0.0)
    work = held_engines["ahead"].stats().totals.since(before)
    assert work.generated_tokens == len(told)
    assert work.lookahead_tokens >= len(told) / 4


def tokens_of(engine: EngineCore, prompt_ids: list[int], **sampling: Any) -> list[SampledToken]:
    """What a sequence says, and how likely it was."""
    engine.add(Sequence(0, tuple(prompt_ids), SamplingParams(max_tokens=64, **sampling)))
    said: list[SampledToken] = []
    while engine.has_work:
        outcome = engine.step()
        said += [token for _, token in outcome.advanced]
    return said
