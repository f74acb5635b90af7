"""Tool calls on the real default model, with the official client."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"type": "string", "enum": ["°C", "°F"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "description": "The time now"}},
]
SCHEMAS = {"get_weather": WEATHER, "get_time": {"type": "object", "maxProperties": 0}}
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield client


def ask(client: openai.OpenAI, **parameters: Any) -> Any:
    request: dict[str, Any] = {
        "model": "any",
        "messages": ASK,
        "tools": TOOLS,
        "max_tokens": 200,
        "seed": 2,
    } | parameters
    return client.chat.completions.create(**request).choices[0]


def calls_of(message: Any) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in message.tool_calls or []]


@pytest.mark.parametrize("temperature", [0, 1.5])
@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize("parallel", [True, False])
def test_a_call_that_must_be_parses_and_its_arguments_are_valid(
    client: openai.OpenAI, temperature: float, choice: Any, parallel: bool
) -> None:
    # One call fits into the limit whatever is drawn; sixteen need not.
    answer = ask(client, temperature=temperature, tool_choice=choice, parallel_tool_calls=parallel, max_tokens=800)
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    calls = calls_of(answer.message)
    assert len(calls) == 1 if not parallel or choice is NAMED else len(calls) >= 1
    for name, arguments in calls:
        Draft202012Validator(SCHEMAS[name]).validate(json.loads(arguments))
    if choice is NAMED:
        assert calls[0][0] == "get_weather"


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_what_the_clients_stream_accumulates_is_the_plain_answer(client: openai.OpenAI, temperature: float) -> None:
    request: Any = {
        "model": "any",
        "messages": ASK,
        "tools": TOOLS,
        "tool_choice": "required",
        "max_tokens": 800,
        "temperature": temperature,
        "seed": 4,
    }
    plain = client.chat.completions.create(**request).choices[0]
    with client.chat.completions.stream(**request) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert calls_of(plain.message)
    assert calls_of(streamed.message) == calls_of(plain.message)
    assert streamed.finish_reason == plain.finish_reason
    assert streamed.message.content is plain.message.content is None


def test_without_choice_what_the_model_calls_is_valid(client: openai.OpenAI) -> None:
    answers = [ask(client, temperature=1.0, seed=seed) for seed in range(6)]
    for answer in answers:
        for name, arguments in calls_of(answer.message) if answer.finish_reason != "length" else []:
            Draft202012Validator(SCHEMAS[name]).validate(json.loads(arguments))
        assert answer.finish_reason in {"stop", "length", "tool_calls"}
        assert (answer.finish_reason != "tool_calls") or answer.message.tool_calls


def test_no_tools_are_called_where_none_may_be(client: openai.OpenAI) -> None:
    answer = ask(client, tool_choice="none", temperature=0)
    assert answer.message.tool_calls is None
    assert answer.message.content


def test_a_weather_agent_of_two_turns_ends_with_a_final_text(client: openai.OpenAI) -> None:
    first = ask(client, tool_choice=NAMED, temperature=0)
    (call,) = first.message.tool_calls
    result = {"temperature": 21, "unit": json.loads(call.function.arguments)["unit"], "sky": "sunny"}
    messages = [
        *ASK,
        first.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result, ensure_ascii=False)},
    ]
    final = ask(client, messages=messages, tool_choice="none", temperature=0)
    assert final.message.content
    assert final.message.tool_calls is None
    assert final.finish_reason in {"stop", "length"}


def test_a_form_and_calls_are_alternatives(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answers = [ask(client, response_format=form, temperature=1.5, seed=seed, max_tokens=300) for seed in range(4)]
    # What is said at this temperature differs between processors, and a string in a call may outrun any limit.
    whole = [answer for answer in answers if answer.finish_reason != "length"]
    assert whole
    for answer in whole:
        for name, arguments in calls_of(answer.message):
            Draft202012Validator(SCHEMAS[name]).validate(json.loads(arguments))
        if not answer.message.tool_calls:
            Draft202012Validator(schema).validate(json.loads(answer.message.content))


@pytest.mark.parametrize("seed", range(4))
def test_several_calls_in_place_of_a_form_are_calls_and_nothing_else(client: openai.OpenAI, seed: int) -> None:
    messages = [{"role": "user", "content": "Call the tool."}]
    parameters = {"messages": messages, "temperature": 1, "seed": seed, "max_tokens": 120}
    choice = ask(client, response_format={"type": "json_object"}, **parameters)
    if choice.message.tool_calls:
        assert not choice.message.content
    else:
        assert choice.message.content.lstrip().startswith("{")


def test_parameters_that_cannot_be_enforced_are_refused_where_a_call_must_be(client: openai.OpenAI) -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, tools=tools, tool_choice="required")
    assert refused.value.param == "tools[0].function.parameters"
    assert "/properties/a" in refused.value.message
    assert ask(client, tools=tools, max_tokens=4).finish_reason == "length"
