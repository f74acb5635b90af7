"""Schemas word by word: what asks for nothing is passed over, what nothing can satisfy is refused where it stands."""

import json
from functools import cache
from typing import Any

import pytest
from support.scripted_model import END_ID, make_grammars

from obeaver.engine.grammar.grammar import GrammarCompiler, GrammarError, grammar_text, json_schema_part
from obeaver.errors import GrammarTooComplex

Schema = dict[str, Any]


@cache
def compiler() -> GrammarCompiler:
    return make_grammars()


def may_answer(schema: Schema, value: object, *, lenient: bool = False) -> bool:
    matcher = compiler().compile(grammar_text(json_schema_part(schema, lenient=lenient)))
    try:
        for byte in json.dumps(value, ensure_ascii=False).encode():
            matcher.accept(byte)
        return bool(matcher.allowed()[END_ID])
    except GrammarTooComplex:
        return False


def refusal(schema: Schema) -> GrammarError:
    with pytest.raises(GrammarError) as refused:
        compiler().check_schema(schema)
    return refused.value


def one(schema: object, **more: Any) -> Schema:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], **more}


INTEGERS = {"type": "array", "items": {"type": "integer"}, "maxItems": 2}
RECORD = {"type": "object", "additionalProperties": {"type": "integer"}}
ANNOTATIONS = {
    "title": "t",
    "description": "d",
    "default": 1,
    "examples": [1],
    "example": 1,
    "$comment": "c",
    "deprecated": True,
    "readOnly": True,
    "writeOnly": False,
    "contentSchema": {"not": {}},
    "x-order": 1,
    "contentEncoding": "base64",
    "contentMediaType": "text/plain",
    "$vocabulary": {"https://a.b/c": True},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        *[(RECORD | {"propertyNames": names}, {"x": 1}) for names in (True, {}, {"type": "string"}, {"title": "t"})],
        (RECORD | {"propertyNames": {"type": ["string", "null"]}}, {"x": 1}),
        (INTEGERS | {"uniqueItems": False}, [1, 1]),
        (INTEGERS | {"uniqueItems": True, "maxItems": 1}, [1]),
        (RECORD | {"unevaluatedProperties": True}, {"x": 1}),
        (RECORD | {"unevaluatedProperties": {}}, {"x": 1}),
        (INTEGERS | {"unevaluatedItems": True}, [1]),
        (INTEGERS | {"unevaluatedItems": False}, [1]),
        *[(RECORD | {word: {}}, {"x": 1}) for word in ("dependentRequired", "dependentSchemas", "dependencies")],
        (one({}, dependentRequired={"a": []}), {"a": 1}),
        (one({}, dependentRequired={"a": ["a"]}), {"a": 1}),
        (one({}, dependentSchemas={"a": True}), {"a": 1}),
        *[(INTEGERS | {word: 1}, [1]) for word in ("minContains", "maxContains")],
        (INTEGERS | {"contains": {"const": 5}, "minContains": 0}, [1]),
        (INTEGERS | {"contains": {}}, [1]),
        *[({"type": "integer", word: {"const": 5}}, 1) for word in ("if", "then", "else")],
        ({"type": "integer", "then": {"const": 5}, "else": {"const": 6}}, 1),
        ({"type": "integer", "if": {"const": 5}, "then": {}}, 1),
        ({"type": "integer", "if": False, "then": {"const": 5}}, 1),
        ({"type": "integer", "not": False}, 1),
        ({"type": "integer", "allOf": []}, 1),
        ({"type": "integer", "allOf": [{}, True]}, 1),
        (INTEGERS | {"additionalItems": False}, [1]),
        ({"type": "array", "additionalItems": False, "maxItems": 1}, [1]),
        (RECORD | {"patternProperties": {}}, {"x": 1}),
        (one({"type": "integer"}, minProperties=1), {"a": 1}),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": False, "maxProperties": 2},
            {"a": 1},
        ),
        (RECORD | {"minProperties": 0}, {}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, 0),
        ({"type": "integer", "$recursiveAnchor": False}, 0),
        ({"type": "string", "pattern": ""}, "x"),
        ({"type": "string", "minLength": 0, "maxLength": 10**12}, "x"),
        ({"type": "integer"} | ANNOTATIONS, 1),
        *[({"type": "string", word: None}, "x") for word in ("pattern", "format", "minLength", "enum", "not", "$ref")],
        ({"type": "integer", "$defs": {"unused": {"not": {}}}, "definitions": {"unused": {"pattern": "(?=a)"}}}, 1),
    ],
)
def test_words_that_ask_for_nothing_are_passed_over(schema: Schema, value: object) -> None:
    assert may_answer(schema, value)


@pytest.mark.parametrize(
    "name",
    [
        *(f"{protocol}://json-schema.org/{path}" for protocol in ("http", "https") for path in ("schema#", "schema")),
        *("https://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema", "not an address"),
        *("http://json-schema.org/draft/2020-12/schema#", "https://json-schema.org/draft/2019-09/schema#"),
        *("http://json-schema.org/draft-06/schema#", "https://json-schema.org/draft-04/schema", "", 7),
        *("https://spec.openapis.org/oas/3.1/dialect/base", "https://example.com/my-vocabulary"),
    ],
)
def test_a_draft_may_be_named_in_any_spelling(name: object) -> None:
    assert may_answer(one({"type": "integer"}, **{"$schema": name}), {"a": 1})
    assert not may_answer(one({"type": "integer"}, **{"$schema": name}), {"a": "x"})


def test_a_draft_whose_words_mean_something_else_is_refused() -> None:
    assert "draft" in str(refusal({"$schema": "http://json-schema.org/draft-03/schema#", "type": "integer"}))


@pytest.mark.parametrize("form", ["cuid2", "e164", "int64"])
def test_a_format_of_somebodys_own_may_stand_beside_what_says_all(form: str) -> None:
    assert may_answer({"type": "string", "format": form, "pattern": "^[a-z]+$"}, "abc")
    assert may_answer({"type": "string", "format": form, "enum": ["A"]}, "A")
    assert "format" in str(refusal(one({"type": "string", "format": form})))


@pytest.mark.parametrize("form", ["regex", "uri-template"])
def test_a_format_of_the_specification_that_is_not_enforced_is_refused_beside_a_pattern_too(form: str) -> None:
    assert refusal(one({"type": "string", "format": form, "pattern": "^a$"})).pointer == "/properties/a"


@pytest.mark.parametrize("form", ["password", "binary"])
def test_a_format_that_forbids_nothing_is_passed_over(form: str) -> None:
    assert may_answer({"type": "string", "format": form}, "x")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (RECORD | {"propertyNames": {"enum": ["x", "y"]}}, {"y": 1}, {"z": 1}),
        (RECORD | {"propertyNames": {"type": "string", "pattern": "^x"}}, {"xy": 1}, {"y": 1}),
        (RECORD | {"propertyNames": {"minLength": 2, "maxLength": 3}}, {"xyz": 1}, {"x": 1}),
        ({"type": "object", "properties": {"a": {"not": {}}, "b": {}}}, {"b": 1}, {"a": 1}),
        (RECORD | {"propertyNames": {"const": "x"}, "required": ["x"]}, {"x": 1}, {}),
        (one(True, unevaluatedProperties=False), {"a": 1}, {"a": 1, "b": 1}),
        (INTEGERS | {"contains": {}, "maxItems": 3, "minContains": 2}, [1, 2], [1]),
        ({"type": "integer", "if": {}, "then": {"minimum": 5}}, 5, 4),
        ({"prefixItems": [{"type": "integer"}], "additionalItems": False, "type": "array"}, [1], ["x"]),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4, 3),
    ],
)
def test_words_with_another_name_for_it_are_enforced(schema: Schema, good: object, bad: object) -> None:
    assert may_answer(schema, good)
    assert not may_answer(schema, bad)


LOOP = {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}
TREE = {"$defs": {"T": one({"$ref": "#/$defs/T"})}}


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (one({"$ref": "#/$defs/A"}, **LOOP), "/properties/a"),
        (one({"$ref": "#/properties/a"}), "/properties/a"),
        ({"$ref": "#"}, ""),
        (one({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/A"}}, **LOOP), "/properties/a/items"),
        (one({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, **LOOP), "/properties/a/anyOf/0"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, **LOOP}, "/properties/a"),
        (one({"anyOf": [{"$ref": "#/$defs/T"}, {"$ref": "#/properties/a"}]}, **TREE), "/properties/a/anyOf/0"),
        (one({"allOf": [{"type": "string"}, {"$ref": "#/$defs/B"}]}, **LOOP), "/properties/a/allOf/1"),
        (one({"$ref": "#/$defs/T"}, **TREE), "/properties/a"),
        (one({"type": "string", "pattern": "^\\x01$"}), "/properties/a"),
        (one({"type": "string", "pattern": "^\\x7f$"}), "/properties/a"),
        (one({"type": "string", "pattern": "^\\u0001*$", "minLength": 1}), "/properties/a"),
        (one({"type": "string", "minLength": 3, "maxLength": 2}), "/properties/a"),
        (one({"type": "integer", "minimum": 3, "maximum": 2}), "/properties/a"),
        (one({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}), "/properties/a"),
        (one({"type": "integer", "multipleOf": 0}), "/properties/a"),
        (one({"type": "array", "minItems": 3, "maxItems": 2}), "/properties/a"),
        (one({"type": "array", "minItems": 1, "items": False}), "/properties/a/items"),
        (one({"enum": []}), "/properties/a"),
        (one({"type": "string", "const": 1}), "/properties/a"),
        (one({"type": "string", "enum": [1, None]}), "/properties/a"),
        (one({"allOf": [{"type": "string"}, {"type": "integer"}]}), "/properties/a"),
        (one({"allOf": [{"pattern": "^a$"}, {"pattern": "^b$"}], "type": "string"}), "/properties/a"),
        (one({"const": "b", "pattern": "^a$"}), "/properties/a"),
        (one(False), "/properties/a"),
        (one({"not": {}}), "/properties/a"),
        (one({"$ref": "#/$defs/X"}, **{"$defs": {"X": {"type": "integer", "minimum": 3, "maximum": 2}}}), "/$defs/X"),
        (
            one({"type": "string"}, allOf=[one({"type": "string", "maxLength": 0, "minLength": 1})]),
            "/allOf/0/properties/a",
        ),
        (one({"type": "string"}, maxProperties=0), ""),
    ],
)
def test_what_nothing_can_satisfy_is_refused_where_it_stands(schema: Schema, pointer: str) -> None:
    assert refusal(schema).pointer == pointer


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}, "b": {}}, **TREE}, {"b": 1}),
        ({"type": "object", "additionalProperties": {"$ref": "#/$defs/T"}, **TREE}, {}),
        ({"type": "array", "items": {"$ref": "#/$defs/T"}, **TREE}, []),
        ({"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}], **TREE}, None),
        ({"$defs": {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}}, "$ref": "#/$defs/L"}, [[], [[]]]),
        ({"type": "object", "properties": {"a": {"type": "string", "minLength": 2, "maxLength": 1}}}, {}),
    ],
)
def test_what_nothing_can_satisfy_may_be_left_out(schema: Schema, value: object) -> None:
    assert may_answer(schema, value)


@pytest.mark.parametrize(
    "part", [{"$ref": "#/$defs/T"}, {"type": "object", "additionalProperties": {"$ref": "#/$defs/T"}}]
)
def test_no_way_leads_into_a_reference_without_end(part: Schema) -> None:
    matcher = compiler().compile(grammar_text(json_schema_part({"type": "object", "properties": {"a": part}, **TREE})))
    matcher.accept(ord("{"))
    assert bytes(byte for byte in range(256) if matcher.allowed()[byte]) in (b"}", b'"}')


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, 0.25, 0),
        ({"type": "number", "minimum": -0.5, "exclusiveMaximum": 0}, -0.25, 0),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.001}, 0.0005, 0),
        ({"type": "integer", "exclusiveMinimum": -(2**62)}, -(2**53), -(2**62)),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, 5, 2**63),
        ({"type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 4}, 3, 4),
        ({"allOf": [{"exclusiveMinimum": 0}, {"maximum": 0.5}], "type": "number"}, 0.5, 0),
        ({"type": "number", "multipleOf": 0.1, "minimum": 0}, 0.3, 0.35),
    ],
)
def test_bounds_are_kept_to_the_letter(schema: Schema, good: object, bad: object) -> None:
    assert may_answer(schema, good)
    assert not may_answer(schema, bad)


@pytest.mark.parametrize(
    "part",
    [
        {"const": 2**53 + 1},
        {"enum": [{"n": [2**60 + 1]}]},
        {"type": "integer", "minimum": 2**60},
        {"type": "string", "minLength": 2**40},
        {"allOf": [{"multipleOf": 65537}, {"multipleOf": 65539}], "type": "integer"},
    ],
)
def test_numbers_that_are_not_kept_exactly_are_refused(part: Schema) -> None:
    assert refusal(one(part)).pointer.startswith("/properties/a")


def test_a_lenient_schema_keeps_what_can_be_kept() -> None:
    schema = one({"type": "string", "pattern": '^[^"\\\\]+$'}, propertyNames={"maxLength": 9}, not_={})
    schema["properties"]["b"] = {"type": "string", "pattern": "(?=x)", "maxLength": 2}
    schema["properties"]["c"] = {"type": "integer", "minimum": 2**70, "not": {"const": 5}}
    assert may_answer(schema, {"a": "x", "b": "yy", "c": 7}, lenient=True)
    assert not may_answer(schema, {"a": '"'}, lenient=True)
    assert not may_answer(schema, {"a": "x", "b": "yyy"}, lenient=True)
