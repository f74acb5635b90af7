"""Request schemas: what is filled in, what is dropped, and how a wrong value is reported."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from obeaver.api.contract.schema_files import schema_names, with_files_merged
from obeaver.api.contract.validation import RequestSchema, parse, request_schema
from obeaver.errors import BadRequest

SCHEMAS = schema_names()
MESSAGES = [{"role": "user", "content": "Hi"}]


def refusal(schema: dict[str, Any], body: object) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        RequestSchema(schema).parse(body)
    return raised.value


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(request_schema(name).document)


def test_no_two_rooms_have_a_document_or_an_answer_of_the_same_name() -> None:
    files = [path.stem for path in (Path(__file__).parents[3] / "obeaver/api").rglob("*.json")]
    assert sorted(files) == SCHEMAS
    answers = [name for file in files if file.endswith("answers") for name in request_schema(file).document["$defs"]]
    titles = [request_schema(file).document["title"] for file in files]
    assert len({*answers, *titles}) == len(answers) + len(titles)


def test_parameters_that_were_not_given_have_their_defaults_or_none() -> None:
    request = parse("chat_completion", {"messages": MESSAGES})
    table = {
        "model": "",
        "stream": False,
        "max_tokens": 1024,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 50,
        "repetition_penalty": 1.0,
        "tools": None,
        "tool_choice": None,
    }
    assert {name: request[name] for name in table} == table
    assert request["seed"] is None


def test_a_null_is_the_same_as_nothing_for_every_parameter() -> None:
    names = request_schema("chat_completion").document["properties"]
    nulls = {name: None for name in names if name != "messages"}
    assert parse("chat_completion", nulls | {"messages": MESSAGES}) == parse("chat_completion", {"messages": MESSAGES})


def test_nulls_inside_known_objects_are_dropped_and_those_in_free_ones_are_kept() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": None, "parameters": {"default": None}}}
    request = parse("chat_completion", {"messages": [MESSAGES[0] | {"name": None}], "tools": [tool]})
    assert request["messages"] == MESSAGES
    assert request["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"default": None}}}]


def test_unknown_parameters_are_ignored() -> None:
    assert "frobnicate" not in parse("chat_completion", {"messages": MESSAGES, "frobnicate": object()})


def test_zero_is_not_the_same_as_nothing() -> None:
    request = parse("chat_completion", {"messages": MESSAGES, "temperature": 0, "top_k": 0})
    assert (request["temperature"], request["top_k"]) == (0, 0)


def test_a_whole_float_passes_as_an_integer_and_becomes_one() -> None:
    value = parse("chat_completion", {"messages": MESSAGES, "max_tokens": 8.0})["max_tokens"]
    assert value == 8
    assert isinstance(value, int)


def test_given_members_keep_their_order_and_defaults_come_after_them() -> None:
    schema = an_object(options=an_object(a={"default": 1}, b={}, c={}))
    request = RequestSchema(schema).parse({"options": {"c": 3, "b": 2}})
    assert list(request["options"].items()) == [("c", 3), ("b", 2), ("a", 1)]


def test_parsing_leaves_the_body_as_it_was() -> None:
    body = {"messages": MESSAGES, "seed": None, "stream": True, "stream_options": {"include_usage": None}}
    before = json.dumps(body)
    assert parse("chat_completion", body)["stream_options"] == {"include_usage": False}
    assert json.dumps(body) == before


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer", "minimum": 1}, 0, "`x` must be an integer of at least 1"),
        ({"type": "number", "minimum": 0, "maximum": 2}, 3, "`x` must be a number from 0 to 2"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "`x` must be a number above 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 9}, 0, "`x` must be a number above 0 and up to 9"),
        ({"type": "boolean"}, "secret", "`x` must be a boolean"),
        ({"type": "object"}, "secret", "`x` must be an object"),
        ({"type": "string", "minLength": 2, "maxLength": 5}, "s", "`x` must be a string of at least 2 characters and"),
        ({"type": ["string", "array"], "maxItems": 2}, 5, "`x` must be a string or an array of at most 2 items"),
        ({"type": "array", "minItems": 1}, [], "`x` must be an array of at least 1 item"),
        ({"type": "string", "enum": ["a", "b"]}, "secret", '`x` must be one of "a", "b"'),
        ({"type": "string", "pattern": "^a", "x-expected": "text with an a"}, "secret", "`x` must be text with an a"),
        ({"not": {}, "description": "use y"}, "secret", "`x` is not supported: use y"),
        (
            {"propertyNames": {"pattern": "^a", "x-expected": "an a-word"}},
            {"secret": 1},
            "Every name in `x` must be an",
        ),
        ({"additionalProperties": {"type": "integer"}}, {"secret": "1"}, "Every value in `x` must be an integer"),
    ],
)
def test_messages_name_the_parameter_and_what_it_takes_and_never_quote_the_body(
    schema: dict[str, Any], value: object, message: str
) -> None:
    error = refusal(an_object(x=schema), {"x": value})
    assert error.param == "x"
    assert error.message.startswith(message)
    assert "secret" not in error.message


def test_the_first_error_in_the_order_of_the_schema_is_reported() -> None:
    schema = an_object(first={"type": "string"}, second={"type": "string"})
    assert refusal(schema, {"second": 1, "first": 1}).param == "first"


def test_a_path_ends_before_names_that_the_client_chose() -> None:
    schema = an_object(map={"additionalProperties": an_object(size={"type": "integer"})})
    assert refusal(schema, {"map": {"secret": {"size": "large"}}}).param == "map"


def test_a_reference_into_another_file_is_replaced_and_one_within_the_schema_stays() -> None:
    files = {"shared.json": {"$defs": {"size": {"type": "integer", "default": 3}}}}
    schema = an_object(width={"$ref": "shared.json#/$defs/size"}, parts={"items": {"$ref": "#/$defs/Part"}})
    merged = with_files_merged(schema, files.__getitem__)
    assert merged == an_object(width={"type": "integer", "default": 3}, parts={"items": {"$ref": "#/$defs/Part"}})


SHARED = request_schema("generation").document["$defs"]


@pytest.mark.parametrize("request_name", ["chat_completion", "completion"])
@pytest.mark.parametrize("name", SHARED)
def test_both_ways_to_ask_for_text_take_a_shared_parameter_alike(request_name: str, name: str) -> None:
    assert request_schema(request_name).document["properties"][name] == SHARED[name]
