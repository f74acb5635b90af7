"""Values that clients of other servers send: each schema lists them, and each is taken as what it means."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.scripted_model import make_grammars

from obeaver.api.chat.dialect import CHAT
from obeaver.api.completions.dialect import COMPLETIONS
from obeaver.api.contract.openapi import openapi_document
from obeaver.api.contract.validation import parse, request_schema
from obeaver.api.contract.wording import synonyms

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat_completion": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "completion": ("/v1/completions", {"prompt": "Hi", "max_tokens": 40}),
}


def properties(request: str) -> dict[str, Any]:
    document = request_schema(request).document
    found: dict[str, Any] = {}
    for name, schema in document["properties"].items():
        found[name] = document["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema
    return found


def rows() -> list[tuple[str, str, Any, Any]]:
    """Request, parameter, value and meaning of every synonym."""
    return [
        (request, name, synonym["given"], synonym["means"])
        for request in REQUESTS
        for name, schema in properties(request).items()
        for synonym in schema.get("x-synonyms", ())
    ]


@pytest.mark.parametrize(("request_name", "name", "given", "means"), rows(), ids=str)
async def test_a_synonym_is_taken_as_what_it_means(
    serve: Any, request_name: str, name: str, given: Any, means: Any
) -> None:
    path, body = REQUESTS[request_name]
    body = body | {"temperature": 0}
    if means == "required":
        body["tools"] = [{"type": "function", "function": {"name": "f"}}]
    async with serve(grammars=make_grammars()) as served:
        there = await served.post(path, **body | {name: given})
        meant = await served.post(path, **body | {name: means})
    assert there.status == 200, there.body
    assert (there.json()["choices"], there.json()["usage"]) == (meant.json()["choices"], meant.json()["usage"])
    assert parse(request_name, body | {name: given}) == parse(request_name, body | {name: means})


@pytest.mark.parametrize("request_name", REQUESTS)
def test_what_means_something_else_is_no_default(request_name: str) -> None:
    for name, schema in properties(request_name).items():
        for synonym in schema.get("x-synonyms", ()):
            assert name not in request_schema(request_name).document.get("required", [])
            assert synonym["means"] is None or synonym["means"] != schema.get("default", ...) or synonym["given"] == 0


def test_off_is_off_and_not_the_default() -> None:
    request = parse("chat_completion", {**REQUESTS["chat_completion"][1], "top_k": -1, "max_tokens": -1, "seed": -1})
    assert (request["top_k"], request["seed"]) == (0, None)
    assert request["max_tokens"] > 10**9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("top_logprobs", 0), ("min_p", 0), ("n", None), ("stop", ""), ("stop", []), ("stop", [""]), ("tools", [])),
        *(
            ("stream_options", {}),
            ("stream_options", {"include_usage": False}),
            ("logprobs", False),
            ("logit_bias", {}),
        ),
        *(("presence_penalty", 0), ("min_tokens", 0), ("parallel_tool_calls", None), ("chat_template_kwargs", {})),
        *(("user", ""), ("metadata", {}), ("modalities", ["text"]), ("response_format", {"type": "text"})),
    ],
)
async def test_values_that_ask_for_nothing_change_nothing(serve: Any, name: str, value: Any) -> None:
    async with serve() as served:
        assert (await served.answer(**{name: value}))["choices"] == (await served.answer())["choices"]


async def test_an_empty_stop_string_stops_nothing_and_the_others_do(serve: Any) -> None:
    async with serve() as served:
        choice = (await served.answer(stop=["", "l"]))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("He", "stop")


@pytest.mark.parametrize(("name", "value"), [("top_k", True), ("top_k", -2), ("max_tokens", -2), ("logprobs", 1)])
async def test_what_is_no_synonym_is_refused_as_ever(serve: Any, name: str, value: Any) -> None:
    async with serve() as served:
        reply = await served.chat(**{name: value})
    assert (reply.status, reply.error["param"]) == (400, name)


def test_the_reference_tells_of_every_synonym() -> None:
    document = json.dumps(
        openapi_document((*CHAT.operations, *COMPLETIONS.operations), title="x", version="1"), ensure_ascii=False
    )
    for request in REQUESTS:
        for name, schema in properties(request).items():
            if synonyms(schema) and "not" not in schema:
                assert json.dumps(synonyms(schema), ensure_ascii=False)[1:-1] in document, name


@pytest.mark.parametrize(("request_name", "name", "given", "_means"), rows(), ids=str)
def test_the_description_allows_every_synonym(request_name: str, name: str, given: Any, _means: Any) -> None:
    document = openapi_document((*CHAT.operations, *COMPLETIONS.operations), title="x", version="1")
    title = request_schema(request_name).document["title"]
    published = Draft202012Validator({"$ref": f"#/components/schemas/{title}", "components": document["components"]})
    body = REQUESTS[request_name][1]
    assert published.is_valid(body | {name: given})
    assert published.is_valid(body | {name: None})
    assert not published.is_valid(body | {name: ["neither", 1]})
