"""Grammars over a byte-level tokenizer made here: one token for each printable ASCII character, and a few words."""

import json
import threading
from random import Random
from typing import Any

import llguidance
import numpy as np
import pytest
from support.grammars import compiler_of_json
from support.random_schemas import random_schema

from obeaver.engine.grammar.grammar import (
    GrammarCompiler,
    GrammarError,
    Matcher,
    TokenMask,
    choice_part,
    grammar_text,
    json_schema_part,
    lark_part,
    regex_part,
    user_part,
)
from obeaver.engine.grammar.kept_compilations import MOST_CHARS
from obeaver.engine.sampling.sampler import Sampler
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import GrammarTooComplex

END, OTHER_END = 0, 1
WORDS = ["hello", "help", "true", '{"']
CHARACTERS = [chr(code) for code in range(33, 127)]
VOCAB = ["<end>", "<stop>", *CHARACTERS, "Ġ", *WORDS]
VOCAB_SIZE = 128


def tokenizer_json() -> str:
    special = [
        {"id": i, "content": VOCAB[i], "special": True, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False}
        for i in (END, OTHER_END)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "vocab": {token: i for i, token in enumerate(VOCAB)}, "merges": []}
    return json.dumps(
        {"version": "1.0", "added_tokens": special, "pre_tokenizer": level, "decoder": level, "model": model}
        | {"truncation": None, "padding": None, "normalizer": None, "post_processor": None}
    )


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return compiler_of_json(tokenizer_json(), VOCAB_SIZE, [END, OTHER_END])


def schema_grammar(schema: dict[str, Any]) -> str:
    return grammar_text(json_schema_part(schema))


def ids(text: str) -> list[int]:
    return [VOCAB.index("Ġ" if character == " " else character) for character in text]


def follow(matcher: Matcher, text: str) -> Matcher:
    for token_id in ids(text):
        matcher.accept(token_id)
    return matcher


def allowed_tokens(matcher: Matcher) -> set[str]:
    return {VOCAB[i] for i in np.flatnonzero(matcher.allowed())}


def is_followed(compiler: GrammarCompiler, grammar: str, text: str) -> bool:
    try:
        matcher = follow(compiler.compile(grammar), text)
    except GrammarTooComplex:
        return False
    return bool(matcher.allowed()[END])


def test_the_mask_has_the_width_that_was_asked_for(compiler: GrammarCompiler) -> None:
    mask = compiler.compile('start: "h"').allowed()
    assert mask.shape == (VOCAB_SIZE,)
    assert mask.dtype == np.bool_


def test_every_token_that_begins_a_match_is_allowed(compiler: GrammarCompiler) -> None:
    matcher = compiler.compile('start: "hello" | "help"')
    assert allowed_tokens(matcher) == {"h", "hello", "help"}
    assert not matcher.finished


def test_the_mask_follows_the_tokens(compiler: GrammarCompiler) -> None:
    assert allowed_tokens(follow(compiler.compile('start: "hello" | "help"'), "hel")) == {"l", "p"}


def test_end_ids_are_allowed_where_the_grammar_may_end_and_nowhere_else(compiler: GrammarCompiler) -> None:
    matcher = compiler.compile('start: "a" "b"*')
    assert allowed_tokens(matcher) == {"a"}
    assert allowed_tokens(follow(matcher, "a")) == {"b", "<end>", "<stop>"}


def test_a_grammar_is_finished_when_nothing_can_follow(compiler: GrammarCompiler) -> None:
    matcher = compiler.compile('start: "hello" | "help"')
    matcher.accept(VOCAB.index("help"))
    assert matcher.finished
    assert allowed_tokens(matcher) == {"<end>", "<stop>"}


def test_an_end_id_finishes_a_grammar_that_could_go_on(compiler: GrammarCompiler) -> None:
    matcher = follow(compiler.compile('start: "a" "b"*'), "a")
    assert not matcher.finished
    matcher.accept(OTHER_END)
    assert matcher.finished


def test_a_token_that_is_not_allowed_fails(compiler: GrammarCompiler) -> None:
    matcher = compiler.compile('start: "hello"')
    with pytest.raises(GrammarTooComplex, match="cannot be followed") as failure:
        matcher.accept(VOCAB.index("z"))
    assert isinstance(failure.value.__cause__, GrammarError)
    with pytest.raises(GrammarTooComplex, match="cannot be followed"):
        matcher.allowed()


def test_sequences_stand_each_at_their_own_place(compiler: GrammarCompiler) -> None:
    first, second = (compiler.compile('start: "ab"') for _ in range(2))
    follow(first, "a")
    assert allowed_tokens(first) == {"b"}
    assert allowed_tokens(second) == {"a"}


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('start: "a" | b', r"1\(8\): unknown name"),
        ('start: "a" ~ %%', r"1\(\d+\): lexer error"),
        ("", "."),
        ('{"grammars": [{"json_schema": {"type": "objekt"}}]}', "objekt"),
        (schema_grammar({"type": "string", "pattern": "^\\p{Nonsense}$"}), "property"),
        (grammar_text(regex_part("a(b")), "unclosed group"),
        (schema_grammar({"oneOf": [{"type": "integer"}, {"minimum": 2}]}), "exclude each other .*`anyOf`"),
    ],
)
def test_a_grammar_that_does_not_compile_says_why_and_where(
    compiler: GrammarCompiler, grammar: str, reason: str
) -> None:
    with pytest.raises(GrammarError, match=reason) as refusal:
        compiler.compile(grammar)
    assert "<state>" not in str(refusal.value)
    assert "<non-verbose/>" not in str(refusal.value)


def test_a_good_grammar_passes_the_check_in_any_thread(compiler: GrammarCompiler) -> None:
    passed: list[int] = []

    def check(number: int) -> None:
        compiler.compile(f'start: "a{number}"')
        passed.append(number)

    threads = [threading.Thread(target=check, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == [0, 1, 2, 3]


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        ('{"a": 12, "b": "x"}', True),
        ('{"a": 12, "b": "z"}', False),
        ('{"a": 12}', False),
        ('{"a": "12", "b": "x"}', False),
        ('{"a":12,"b":"x"}', False),
        ('{  "a": 12, "b": "x"}', False),
    ],
)
def test_a_schema_is_followed_with_fixed_whitespace(compiler: GrammarCompiler, text: str, followed: bool) -> None:
    assert is_followed(compiler, schema_grammar(SCHEMA), text) is followed


def test_a_schema_cannot_choose_its_own_layout(compiler: GrammarCompiler) -> None:
    grammar = schema_grammar(SCHEMA | {"x-guidance": {"whitespace_flexible": True}})
    assert not is_followed(compiler, grammar, '{  "a": 12, "b": "x"}')


@pytest.mark.parametrize(("text", "followed"), [('a/7"', True), ('a/x"', False), ('aa/7"', False)])
def test_a_regular_expression_is_followed_as_a_whole(compiler: GrammarCompiler, text: str, followed: bool) -> None:
    assert is_followed(compiler, grammar_text(regex_part(r'a/\d"')), text) is followed


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_sampled_under_a_schema_is_valid(compiler: GrammarCompiler, seed: int) -> None:
    schema: dict[str, Any] = {"type": "array", "items": {"enum": [True, "hello", 7]}, "maxItems": 4}
    matcher = compiler.compile(schema_grammar(schema))
    sampler = Sampler(SamplingParams(max_tokens=100, seed=seed), (), VOCAB_SIZE)
    logits = np.random.default_rng(seed).standard_normal(VOCAB_SIZE).astype(np.float32)
    output: list[int] = []
    while not matcher.finished:
        output.append(sampler.sample(logits, output, matcher.allowed()).token_id)
        matcher.accept(output[-1])
    text = "".join(VOCAB[i] for i in output if i not in (END, OTHER_END)).replace("Ġ", " ")
    assert len(json.loads(text)) <= 4
    assert all(item in (True, "hello", 7) for item in json.loads(text))


@pytest.mark.parametrize(("vocab_size", "end_ids"), [(50, [END]), (VOCAB_SIZE, []), (VOCAB_SIZE, [VOCAB_SIZE])])
def test_a_vocabulary_that_does_not_fit_is_refused(vocab_size: int, end_ids: list[int]) -> None:
    with pytest.raises(GrammarError, match="no grammar can be compiled for this tokenizer"):
        compiler_of_json(tokenizer_json(), vocab_size, end_ids)


def test_a_compilation_is_made_once_and_its_copies_are_independent(compiler: GrammarCompiler) -> None:
    grammar = 'start: "ab" | "cd"'
    first = follow(compiler.compile(grammar), "a")
    second = compiler.compile(grammar)
    assert allowed_tokens(first) == {"b"}
    assert allowed_tokens(second) == {"a", "c"}


@pytest.mark.parametrize("text", ["yes", "no/\\", 'say "x"'])
def test_a_choice_is_one_of_its_texts(compiler: GrammarCompiler, text: str) -> None:
    grammar = grammar_text(choice_part(["yes", "no/\\", 'say "x"']))
    assert is_followed(compiler, grammar, text)
    assert not is_followed(compiler, grammar, text + "!")


@pytest.mark.parametrize("text", ['root ::= "a" [0-9]+', 'start: "a" /[0-9]+/'])
def test_a_grammar_of_users_is_lark_or_gbnf(compiler: GrammarCompiler, text: str) -> None:
    grammar = grammar_text(user_part(text))
    assert is_followed(compiler, grammar, "a12")
    assert not is_followed(compiler, grammar, "a")


@pytest.mark.parametrize(
    "text",
    [
        *("nonsense", 'root ::= "a" (', "root ::= " + "(" * 10_000, "root ::= foo", 'root ::= "a" | foo', 'x ::= "a"'),
        *('Root ::= "a"', "# a comment", "// a comment", " ", "\n", 'root ::= "a" ::= "b"', 'root ::= "\\q"'),
    ],
)
def test_what_is_neither_lark_nor_gbnf_is_refused(text: str) -> None:
    with pytest.raises(GrammarError, match="GBNF"):
        user_part(text)


@pytest.mark.parametrize(
    "text", ["root ::= root", 'start: "a" | FOO', "start: @x", 'start: %json {"type":', "start: /a(/"]
)
def test_a_grammar_of_users_that_leads_nowhere_is_refused(compiler: GrammarCompiler, text: str) -> None:
    with pytest.raises(GrammarError):
        compiler.compile(grammar_text(user_part(text)))


def test_a_schema_within_a_grammar_is_kept_as_any_other(compiler: GrammarCompiler) -> None:
    text = '// %json {\nstart: "%json {" %json {"type": "string", "pattern": "^[^\\"]$"} /%json/'
    grammar = grammar_text(user_part(text))
    assert is_followed(compiler, grammar, '%json {"a"%json')
    assert not is_followed(compiler, grammar, '%json {"\\""%json')
    with pytest.raises(GrammarError, match="uniqueItems"):
        compiler.compile(grammar_text(user_part('start: %json {"type": "array", "uniqueItems": true}')))


def test_a_grammar_may_lead_to_where_nothing_follows(compiler: GrammarCompiler) -> None:
    matcher = follow(compiler.compile('start: "x" A\nA: /a/ & /b/'), "x")
    with pytest.raises(GrammarTooComplex, match="cannot be followed"):
        matcher.allowed()


def test_parts_refer_to_each_other_by_name(compiler: GrammarCompiler) -> None:
    grammar = grammar_text(lark_part('start: "<" @inner ">"'), inner=json_schema_part({"const": 7}))
    assert is_followed(compiler, grammar, "<7>")


def test_a_lenient_part_passes_over_what_cannot_be_enforced(compiler: GrammarCompiler) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    with pytest.raises(GrammarError, match="uniqueItems"):
        compiler.compile(schema_grammar(schema))
    grammar = grammar_text(json_schema_part(schema, lenient=True))
    assert is_followed(compiler, grammar, "[1, 1]")
    assert not is_followed(compiler, grammar, '["x"]')


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "wizard"}, ""),
        ({"properties": {"a/b": {"items": {"uniqueItems": True}}}}, "/properties/a~1b/items"),
        ({"anyOf": [{"type": "null"}, {"type": "string", "format": "nope"}]}, "/anyOf/1"),
        ({"properties": {"x": {"$ref": "#/$defs/T"}}, "$defs": {"T": {"not": {"type": "null"}}}}, "/$defs/T"),
        ({"prefixItems": [{"minProperties": 2}]}, "/prefixItems/0"),
    ],
)
def test_a_schema_that_cannot_be_enforced_says_where(
    compiler: GrammarCompiler, schema: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(GrammarError) as refusal:
        compiler.check_schema(schema)
    assert refusal.value.pointer == pointer


def test_a_good_schema_passes_the_check(compiler: GrammarCompiler) -> None:
    compiler.check_schema(SCHEMA)


@pytest.mark.parametrize("text", ["<end>", "a <stop> b"])
def test_text_that_looks_like_a_control_token_is_written_as_text(compiler: GrammarCompiler, text: str) -> None:
    matcher = compiler.compile(grammar_text(json_schema_part({"const": text})))
    for token_id in ids(json.dumps(text)):
        assert not matcher.allowed()[[END, OTHER_END]].any()
        matcher.accept(token_id)
    assert matcher.finished


def test_added_tokens_that_look_like_tags_must_be_named_by_id_whether_they_are_special_or_not() -> None:
    plain = compiler_of_json(tokenizer_json().replace('"special": true', '"special": false'), VOCAB_SIZE, [END])
    assert plain.is_control(OTHER_END)
    assert not plain.is_control(VOCAB.index("hello"))
    assert OTHER_END in np.flatnonzero(plain.compile(f"start: <[{OTHER_END}]>").allowed())
    assert OTHER_END not in np.flatnonzero(plain.compile(grammar_text(lark_part('start: "<stop>"'))).allowed())


def test_a_text_that_was_compiled_holds_its_compilation_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    make_matcher = llguidance.LLMatcher

    def counted(tokenizer: Any, grammar: str, **options: Any) -> Any:
        compiled.append(grammar)
        return make_matcher(tokenizer, grammar, **options)

    monkeypatch.setattr(llguidance, "LLMatcher", counted)
    compiler = compiler_of_json(tokenizer_json(), VOCAB_SIZE, [END, OTHER_END])
    grammar = grammar_text(lark_part(f'start: "ab"\n// {"x" * MOST_CHARS}'))
    held = compiler.compiled(grammar)
    assert held == grammar
    assert is_followed(compiler, held, "ab")
    assert not is_followed(compiler, held, "ac")
    assert compiled == [grammar]


def mask_or_none(matcher: Matcher) -> TokenMask | None:
    try:
        return matcher.allowed()
    except GrammarTooComplex:
        return None


class TestForcedText:
    def test_the_key_that_must_come_is_told(self, compiler: GrammarCompiler) -> None:
        schema = {"type": "object", "properties": {"name": {"type": "boolean"}}, "required": ["name"]}
        matcher = compiler.compile(schema_grammar({**schema, "additionalProperties": False}))
        told = "".join(VOCAB[token_id] for token_id in matcher.forced()).replace("Ġ", " ")
        assert told == '{"name": '
        assert matcher.allowed().sum() == 2, "the brace alone, and with the quote"

    def test_where_there_is_a_choice_nothing_is_told(self, compiler: GrammarCompiler) -> None:
        assert compiler.compile(grammar_text(choice_part(["yes", "no"]))).forced() == []

    def test_asking_changes_nothing_and_what_is_told_may_come(self, compiler: GrammarCompiler) -> None:
        num_told = 0
        for seed in range(150):
            random = Random(seed)
            try:
                grammar = schema_grammar(random_schema(random))
                asked, left_alone = compiler.compile(grammar), compiler.compile(grammar)
            except GrammarError:
                continue
            for _ in range(40):
                told = asked.forced()
                num_told += len(told)
                mask, its_mask = mask_or_none(asked), mask_or_none(left_alone)
                if mask is None or its_mask is None:
                    assert mask is its_mask, "a grammar that leads nowhere does so whoever asks"
                    break
                assert np.array_equal(mask, its_mask)
                assert not told or mask[told[0]]
                # What is told is followed half of the time, so that it is asked for in the middle of it too.
                choices = told[:1] if told and random.random() < 0.5 else np.flatnonzero(mask).tolist()
                token_id = random.choice(choices)
                for matcher in (asked, left_alone):
                    matcher.accept(token_id)
                if asked.finished:
                    break
            assert asked.finished == left_alone.finished
        assert num_told > 1000

    def test_what_is_told_can_be_said_to_its_end(self, compiler: GrammarCompiler) -> None:
        matcher = compiler.compile(schema_grammar({"const": {"name": [True, None], "hello": "help"}}))
        for token_id in matcher.forced():
            matcher.accept(token_id)
        assert matcher.finished


def many_objects(count: int) -> dict[str, Any]:
    """As many objects to choose from, each of which can begin in four ways."""
    return {
        "anyOf": [
            {"type": "object", "properties": {f"{name}{i}": {"type": "integer"} for name in "abc"}}
            for i in range(count)
        ]
    }


def many_rules(count: int) -> str:
    rules = "\n".join(f'r{i}: "x{i}"? "y{i}"? "z{i}"' for i in range(count))
    return f'start: "<" ({" | ".join(f"r{i}" for i in range(count))})\n{rules}'


def test_a_grammar_that_leaves_too_much_open_at_its_beginning_is_refused(compiler: GrammarCompiler) -> None:
    assert compiler.compile(schema_grammar(many_objects(100))).allowed().any()
    assert compiler.compile(grammar_text(user_part(many_rules(300)))).allowed().any()
    for grammar in (schema_grammar(many_objects(1500)), grammar_text(user_part(many_rules(5000)))):
        with pytest.raises(GrammarError, match="too much can follow at its beginning"):
            compiler.compile(grammar)


def test_one_that_does_so_later_is_found_out_before_a_token_is_taken_in(compiler: GrammarCompiler) -> None:
    later = {"type": "object", "properties": {"a": {"const": "a" * 60}, "b": many_objects(1500)}}
    matcher = compiler.compile(schema_grammar(later | {"required": ["a", "b"], "additionalProperties": False}))
    # As far as masks see, its text is forced, which would be found out by taking in all of it.
    assert matcher.forced() == []
    for token_id in ids(f'{{"a": "{"a" * 60}", "b": '):
        assert matcher.allowed()[token_id]
        matcher.accept(token_id)
    with pytest.raises(GrammarTooComplex):
        matcher.allowed()
