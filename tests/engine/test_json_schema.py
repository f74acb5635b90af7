"""Schemas against the official test suite of draft 2020-12, and against what has to be reworded or refused."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.scripted_model import END_ID, make_grammars

from obeaver.engine.grammar.grammar import GrammarCompiler, GrammarError, grammar_text, json_schema_part
from obeaver.engine.grammar.json_schema import enforceable
from obeaver.errors import GrammarTooComplex

REPOSITORY = Path(__file__).parents[2]
SUITE = Path(os.environ.get("JSON_SCHEMA_TEST_SUITE", REPOSITORY.parent / "shared/data/json-schema-test-suite"))
DRAFT = SUITE / "tests/draft2020-12"
COUNTS = "| {compiled} | {refused} | {invalid} | {accepted} | {narrow} |"


@cache
def compiler() -> GrammarCompiler:
    return make_grammars()


def compiles(schema: dict[str, Any]) -> bool:
    try:
        compiler().compile(grammar_text(json_schema_part(schema)))
    except GrammarError as error:
        return not str(error)
    return True


def may_answer(schema: dict[str, Any], value: object) -> bool:
    """Whether a grammar lets this value be written."""
    return may_write(schema, json.dumps(value, ensure_ascii=False))


def may_write(schema: dict[str, Any], text: str) -> bool:
    matcher = compiler().compile(grammar_text(json_schema_part(schema)))
    try:
        for byte in text.encode("utf-8", "surrogatepass"):
            matcher.accept(byte)
    except GrammarTooComplex:
        return False
    return bool(matcher.allowed()[END_ID])


@dataclass
class Tally:
    """What became of the suite's schemas and of the instances of those that compile."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def count(self, case: dict[str, Any]) -> None:
        schema = case["schema"]
        if not compiles(schema):
            self.counts["refused"] += 1
            return
        self.counts["compiled"] += 1
        for test in case["tests"]:
            may = may_answer(schema, test["data"])
            if not test["valid"]:
                self.counts["invalid"] += 1
                self.wrong += [f"{case['description']}: {test['description']}"] if may else []
            else:
                self.counts["accepted" if may else "narrow"] += 1


def cases() -> Iterator[dict[str, Any]]:
    for path in sorted(DRAFT.rglob("*.json")):
        # `true` and `false` are no schemas in requests: they must be objects.
        yield from (case for case in json.loads(path.read_text("utf-8")) if isinstance(case["schema"], dict))


@pytest.mark.slow
@pytest.mark.skipif(not DRAFT.is_dir(), reason="needs the JSON Schema test suite: set JSON_SCHEMA_TEST_SUITE")
def test_every_schema_of_the_official_suite_is_enforced_to_the_letter_or_refused() -> None:
    tally = Tally()
    for case in cases():
        tally.count(case)
    assert tally.wrong == []
    assert COUNTS.format_map(tally.counts) in (REPOSITORY / "docs/structured-outputs.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date", ["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-04-31", "0000-01-01"]),
        ("time", ["23:59:59Z", "08:30:06.123456+01:30"], ["24:00:00Z", "23:59:60Z", "08:30:06", "8:30:06Z"]),
        ("date-time", ["2024-02-29T08:30:06Z"], ["2023-02-29T08:30:06Z", "2024-02-29 08:30:06Z", "2024-02-29"]),
        ("hostname", ["a", "a-b.example.com", "x1"], ["-a", "a-", "a..b", "xn--x", "ab--c", "a" * 64]),
        ("uuid", ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08"]),
        ("email", ["joe.q+x@mail.example.com"], ["joe", "@x", f"a@{'b' * 64}.com", f"{'a' * 65}@b.com", "a..b@c.de"]),
        ("ipv4", ["192.168.0.1"], ["192.168.0.256"]),
        ("ipv6", ["::1"], ["1"]),
        ("uri", ["https://example.com/a?b#c"], ["not a uri"]),
        ("duration", ["P1DT2H"], ["1D"]),
    ],
)
def test_formats_are_enforced(form: str, good: list[str], bad: list[str]) -> None:
    schema = {"type": "string", "format": form}
    assert [text for text in good if not may_answer(schema, text)] == []
    assert [text for text in bad if may_answer(schema, text)] == []


def test_a_format_and_a_pattern_are_both_enforced() -> None:
    schema = {"type": "string", "format": "date", "pattern": "^2024"}
    assert may_answer(schema, "2024-01-31")
    assert not may_answer(schema, "2023-01-31")
    assert not may_answer(schema, "2024-01-32")


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^\d+$", ["12"], ["١"]),
        (r"^\w$", ["a", "_"], ["é", " "]),
        (r"^\s$", [" ", "\u00a0"], ["\ufeff", "\u0085", "a"]),
        (r"^\S$", ["a", "é"], [" ", "\ufeff", "\u0085"]),
        (r"^\D$", ["a"], ["1", "١"]),
        (r"^\W$", [" ", "-"], ["a", "é", "Ȗ"]),
        (r"^[^\d\s]$", ["a", "-"], ["1", "١", "\ufeff"]),
        (r"^[\W]$", ["-"], ["é"]),
        (r"^[^\W]$", ["a"], ["é", "-"]),
        (r"^[[^a]$", ["[", "^", "a"], ["b"]),
        (r"^[a-z&&b]$", ["c", "&"], ["A"]),
        (r"^.$", ["a", "é"], ["\n", "\r", "\u2028"]),
        (r"^[.]]$", [".]"], ["a]"]),
        (r"^\.\[\]$", [".[]"], ["a[]"]),
        ("b", ["abc"], ["ac"]),
    ],
)
def test_what_matches_a_pattern_matches_it_in_every_dialect(pattern: str, good: list[str], bad: list[str]) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert [text for text in good if not may_answer(schema, text)] == []
    assert [text for text in bad if may_answer(schema, text)] == []


def test_patterns_of_property_names_are_enforced_alike() -> None:
    schema = {"type": "object", "patternProperties": {r"^\w$": {"type": "integer"}}, "additionalProperties": False}
    assert may_answer(schema, {"a": 1})
    assert not may_answer(schema, {"é": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "minProperties": 2},
        {"type": "string", "format": "regex"},
        {"format": "unknown"},
        {"const": "a\x01"},
        {"enum": [{"k\x7f": 1}]},
        {"properties": {"a": {"items": {"uniqueItems": True}}}},
        {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
        {"$ref": "https://example.com/schema.json"},
        {"type": "string", "minLength": 3, "maxLength": 2},
    ],
)
def test_what_cannot_be_enforced_is_refused(schema: dict[str, Any]) -> None:
    assert not compiles(schema)


def test_nesting_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(500):
        schema = {"items": schema}
    with pytest.raises(GrammarError, match="too deep"):
        json_schema_part(schema)


def test_a_format_of_numbers_is_no_format() -> None:
    assert may_answer({"type": "integer", "format": "int64"}, 5)


def test_sizes_may_be_whole_numbers_written_as_fractions() -> None:
    assert not may_answer({"type": "array", "items": {}, "maxItems": 1.0}, [1, 2])


@pytest.mark.parametrize("key", ["a", "\\u0061"])
def test_a_key_cannot_be_spelled_so_that_it_passes_for_another(key: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}
    assert not may_write(schema, f'{{"{key}": 3}}')


def test_objects_that_list_properties_get_no_others() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}
    assert may_answer(schema, {"a": {}})
    assert not may_answer(schema, {"a": {"b": 1}})
    assert not may_answer(schema, {"b": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}, "patternProperties": {"^b": {}}},
        {"type": "object", "properties": {"a": {}}, "required": ["b"]},
        {"type": "object", "allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"$ref": "#/$defs/A", "properties": {"b": {}}, "$defs": {"A": {"type": "object", "properties": {"a": {}}}}},
    ],
)
def test_objects_that_may_need_others_stay_open(schema: dict[str, Any]) -> None:
    assert may_answer(schema, {"b": 1}) or may_answer(schema, {"a": 1, "b": 1})


def test_a_schema_stays_as_it_was() -> None:
    schema = {
        "type": "object",
        "properties": {"pattern": {"type": "string", "pattern": ".", "format": "date"}},
        "enum": [{"format": "x"}],
    }
    before = json.dumps(schema)
    assert enforceable(schema) != schema
    assert json.dumps(schema) == before


CAT = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}
DOG = {"type": "object", "properties": {"kind": {"enum": ["dog", "wolf"]}, "good": {}}, "required": ["kind"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [CAT, DOG]},
        {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "$defs": {"Cat": CAT, "Dog": DOG}},
        {"oneOf": [{"$ref": "#/definitions/Cat", "title": "A"}, DOG, {"type": "null"}], "definitions": {"Cat": CAT}},
    ],
)
def test_branches_that_exclude_each_other_are_alternatives(schema: dict[str, Any]) -> None:
    assert may_answer(schema, {"kind": "cat", "lives": 9})
    assert may_answer(schema, {"kind": "wolf", "good": None})
    assert not may_answer(schema, {"kind": "cat", "good": 1})


@pytest.mark.parametrize(
    "branches",
    [
        [{"type": "integer"}, {"type": "number"}],
        [CAT, CAT],
        [{**CAT, "required": []}, {**DOG, "required": []}],
        [{key: CAT[key] for key in ("properties", "required")}, {key: DOG[key] for key in ("properties", "required")}],
        [{"$ref": "#/$defs/Missing"}, DOG],
        [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Cat"}],
        [True, DOG],
    ],
)
def test_branches_that_may_both_hold_are_refused_whatever_a_discriminator_promises(branches: list[Any]) -> None:
    schema = {"oneOf": branches, "$defs": {"Cat": CAT}, "discriminator": {"propertyName": "kind"}}
    assert not compiles(schema)
