"""Answers that hold to a form."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.scripted_model import TEMPLATE, make_grammars, says

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}


def form_of(schema: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **others}}


@pytest.mark.parametrize("form", [None, {"type": "text"}])
async def test_text_is_a_form_like_no_form(serve: Any, form: dict[str, str] | None) -> None:
    async with serve() as served:
        assert (await served.answer(response_format=form))["choices"][0]["message"]["content"] == "Hello"


async def test_where_answers_cannot_be_held_to_a_form_it_is_refused(serve: Any) -> None:
    async with serve() as served:
        reply = await served.chat(response_format={"type": "json_object"})
    assert (reply.status, reply.error["param"]) == (400, "response_format.type")
    assert reply.error["code"] == "unsupported_value"


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_answer_at_random_is_valid_under_its_schema(serve: Any, seed: int, strict: bool) -> None:
    async with serve(lambda _prompt: None, grammars=make_grammars()) as served:
        # Or else a model that can think does so at random.
        request = {"temperature": 1.5, "seed": seed, "reasoning_effort": "none"}
        answer = await served.answer(response_format=form_of(SCHEMA, strict=strict), **request)
        chunks = await served.stream(response_format=form_of(SCHEMA, strict=strict), **request)
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "stop"
    Draft202012Validator(SCHEMA).validate(json.loads(choice["message"]["content"]))
    deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    assert "".join(deltas) == choice["message"]["content"]


async def test_a_json_object_is_an_object_whatever_the_model_wants_to_say(serve: Any) -> None:
    async with serve(says("[}"), grammars=make_grammars()) as served:
        choice = (await served.answer(response_format={"type": "json_object"}))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("{}", "stop")


async def test_the_limit_ends_a_form_with_length(serve: Any) -> None:
    async with serve(lambda _prompt: None, grammars=make_grammars()) as served:
        choice = (await served.answer(response_format=form_of(SCHEMA), max_tokens=5, seed=1))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ('{"cit', "length")


async def test_a_schema_that_cannot_be_compiled_is_a_400_that_says_why(serve: Any) -> None:
    async with serve(grammars=make_grammars()) as served:
        for schema in ({"type": "wizard"}, {"$ref": "#/$defs/missing"}):
            reply = await served.chat(response_format=form_of(schema))
            assert (reply.status, reply.error["code"]) == (400, "invalid_schema")
            assert reply.error["param"] == "response_format.json_schema.schema"
            assert "cannot be compiled" in reply.error["message"]
        assert (await served.answer())["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"regex": "a", "choice": ["a"]}, "choice"),
        ({"response_format": {"type": "json_object"}, "grammar": 'start: "a"'}, "grammar"),
        ({"regex": "a", "tools": [{"type": "function", "function": {"name": "f"}}]}, "regex"),
    ],
)
async def test_one_form_is_enough(serve: Any, parameters: dict[str, Any], param: str) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(**parameters)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, "invalid_value")


@pytest.mark.parametrize(
    ("parameters", "content"),
    [
        ({"choice": ["Hallo", "Hello!"]}, "Hello!"),
        ({"regex": "[A-Z]el{2}o\\?"}, "Hello?"),
        ({"grammar": 'start: "Hell" ("e" | "o") "s"'}, "Hellos"),
        ({"grammar": 'root ::= "Hell" [eo] "s"'}, "Hellos"),
        (
            {"choice": ["Hello"], "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
            "Hello",
        ),
    ],
)
async def test_the_extensions_hold_the_answer(serve: Any, parameters: dict[str, Any], content: str) -> None:
    async with serve(grammars=make_grammars()) as served:
        choice = (await served.answer(**parameters))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, "stop")


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"grammar": "start: missing"}, "grammar"),
        ({"grammar": "nonsense"}, "grammar"),
        ({"regex": "a(b"}, "regex"),
    ],
)
async def test_a_grammar_that_cannot_be_compiled_is_a_400(serve: Any, parameters: dict[str, Any], param: str) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(**parameters)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, "invalid_grammar")


@pytest.mark.parametrize("name", ["guided_json", "guided_regex", "structured_outputs", "json_schema"])
async def test_other_servers_names_are_refused_with_ours(serve: Any, name: str) -> None:
    async with serve() as served:
        reply = await served.chat(**{name: {"type": "object"}})
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, name, "unsupported_parameter")
    assert "instead" in reply.error["message"]


async def test_the_place_of_the_fault_in_a_schema_is_named(serve: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"not": {"type": "null"}}}}}
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(response_format=form_of(schema))
    assert "at `/properties/a/items`" in reply.error["message"]


async def test_a_form_begins_behind_the_reasoning(serve: Any) -> None:
    async with serve(says('<think>{"no": 1}</think>\n\nHello'), grammars=make_grammars()) as served:
        message = (await served.answer(response_format=form_of(SCHEMA), max_tokens=80))["choices"][0]["message"]
    assert message["reasoning_content"] == '{"no": 1}'
    Draft202012Validator(SCHEMA).validate(json.loads(message["content"]))


async def test_where_the_prompt_opens_the_reasoning_the_answer_begins_within_it(serve: Any) -> None:
    template = TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    async with serve(says("Hm.</think>Hello"), template=template, grammars=make_grammars()) as served:
        message = (await served.answer(choice=["Hello", "Bye"]))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Hello")


async def test_without_thinking_a_form_begins_at_once(serve: Any) -> None:
    async with serve(says("<think>Hm.</think>Hello"), grammars=make_grammars()) as served:
        for parameters in ({"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}):
            message = (await served.answer(choice=["Hello", "Bye"], **parameters))["choices"][0]["message"]
            assert "reasoning_content" not in message
            assert message["content"] in {"Hello", "Bye"}


async def test_the_form_wins_over_bias_minimum_and_ignored_end(serve: Any) -> None:
    against = {"min_tokens": 50, "ignore_eos": True, "logit_bias": {str(ord("Y")): -100}, "reasoning_effort": "none"}
    async with serve(grammars=make_grammars()) as served:
        choice = (await served.answer(choice=["Yes"], **against))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Yes", "stop")


async def test_a_stop_string_cuts_a_form(serve: Any) -> None:
    async with serve(grammars=make_grammars()) as served:
        choice = (await served.answer(choice=["one two"], stop=[" t"]))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one", "stop")


TEAM = {"properties": {"team": {"enum": ["Dodgers"]}}, "required": ["team"]}


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_a_schema_beside_the_type_is_enforced(serve: Any, kind: str) -> None:
    form = {"type": kind, "schema": {"type": "object"} | TEAM}
    async with serve(says("[}"), grammars=make_grammars()) as served:
        choice = (await served.answer(response_format=form))["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"team": "Dodgers"}


async def test_a_json_object_stays_an_object_where_its_schema_does_not_say_so(serve: Any) -> None:
    async with serve(says("7"), grammars=make_grammars()) as served:
        choice = (await served.answer(response_format={"type": "json_object", "schema": TEAM}))["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"team": "Dodgers"}


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"type": "text", "schema": TEAM}, "response_format.schema"),
        ({"type": "text", "json_schema": {"name": "x", "schema": TEAM}}, "response_format.json_schema"),
        ({"type": "json_object", "json_schema": {"name": "x", "schema": TEAM}}, "response_format.json_schema"),
        (form_of(TEAM) | {"schema": TEAM}, "response_format.json_schema"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_object", "schema": {"not": {"type": "null"}}}, "response_format.schema"),
        ({"type": "json_object", "schema": {"type": "array"}}, "response_format.schema"),
        ({"type": "json_object", "schema": "{}"}, "response_format.schema"),
    ],
)
async def test_a_schema_is_never_passed_over(serve: Any, form: dict[str, Any], param: str) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(response_format=form)
    assert (reply.status, reply.error["param"]) == (400, param)


FAULTS = {
    "a rule that is missing": ({"grammar": "root ::= foo"}, "invalid_grammar"),
    "no root": ({"grammar": 'x ::= "a"'}, "invalid_grammar"),
    "nothing but a comment": ({"grammar": "# nothing"}, "invalid_grammar"),
    "an endless rule": ({"grammar": "root ::= root"}, "invalid_grammar"),
    "an expression without matches": ({"regex": "[a&&b]"}, "invalid_grammar"),
    "a cycle": ({"response_format": form_of({"$ref": "#"})}, "invalid_schema"),
    "an unwritable pattern": ({"response_format": form_of({"type": "string", "pattern": "^\\x01$"})}, "invalid_schema"),
    "a contradiction": ({"response_format": form_of({"type": "integer", "const": "x"})}, "invalid_schema"),
    "no choice": ({"response_format": form_of({"enum": []})}, "invalid_schema"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("parameters", "code"), FAULTS.values(), ids=FAULTS)
async def test_a_form_that_the_client_got_wrong_is_a_400_also_of_a_stream(
    serve: Any, parameters: dict[str, Any], code: str, stream: bool
) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(stream=stream, **parameters)
    assert (reply.status, reply.error["code"]) == (400, code)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_grammar_that_leads_to_where_nothing_follows_ends_with_length(serve: Any, stream: bool) -> None:
    grammar = 'start: "Hell" A\nA: /a/ & /b/'
    async with serve(grammars=make_grammars()) as served:
        if stream:
            chunks = await served.stream(grammar=grammar)
            reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
            content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        else:
            choice = (await served.answer(grammar=grammar))["choices"][0]
            reasons, content = [choice["finish_reason"]], choice["message"]["content"]
    assert (content, reasons[-1]) == ("Hell", "length")
