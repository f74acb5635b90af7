"""The official OpenAI client's Responses against the default model."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

pytestmark = pytest.mark.real

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
QUESTION = "Why is the sky blue?"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": SCHEMA,
        "strict": True,
    }
]


class City(BaseModel):
    """What the model is to name."""

    name: str
    is_capital: bool


def valid(response: Response) -> Response:
    """The response, every part of which is of the type that the client says."""
    return Response.model_validate(response.to_dict(), strict=False)


def test_a_response_whole_and_streamed_is_the_chat_endpoints(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "any", "input": QUESTION, "max_output_tokens": 24, "temperature": 0}
    whole = valid(client.responses.create(**asked))
    with client.responses.stream(**asked) as stream:
        events = list(stream)
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    # The client has a final response only of streams that completed.
    last = events[-1]
    assert last.type == "response.incomplete"
    streamed = valid(last.response)
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    chat = client.chat.completions.create(model="any", messages=messages, max_tokens=24, temperature=0)
    assert chat.usage is not None
    assert whole.output_text == streamed.output_text == deltas == chat.choices[0].message.content
    for response in (whole, streamed):
        assert response.usage is not None
        assert response.status == "incomplete"
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.usage.input_tokens == chat.usage.prompt_tokens
        assert response.usage.output_tokens == chat.usage.completion_tokens == 24


def test_what_a_request_would_take_can_be_counted(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "any", "input": QUESTION, "instructions": "Be brief.", "tools": TOOLS}
    first = client.responses.create(**asked, max_output_tokens=4)
    assert first.usage is not None
    counted = client.responses.input_tokens.count(**asked)
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", first.usage.input_tokens)


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS, "tool_choice": "required"}], ids=["text", "a call"])
def test_every_event_is_one_of_the_clients_own(more: dict[str, Any], client: openai.OpenAI) -> None:
    with client.responses.with_streaming_response.create(
        model="any", input=QUESTION, max_output_tokens=48, temperature=0, stream=True, **more
    ) as raw:
        lines = raw.read().decode().split("\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    for number, event in enumerate(events):
        known = EVENT.validate_python(event)
        assert known.type == event["type"]
        assert event["sequence_number"] == number
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] in {"response.completed", "response.incomplete"}
    ended = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert ended == events[-1]["response"]["output"]
    assert ended


def test_a_tool_is_called_and_answered(client: openai.OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.responses.stream(
        model="any",
        input=items,
        max_output_tokens=100,
        temperature=0,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
    ) as stream:
        first = stream.get_final_response()
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert first.status == "completed"
    assert call.name == "get_weather"
    assert json.loads(call.arguments)["city"] in {"Paris", "Rome"}
    items += [item.to_dict() for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees, sunny"})
    second = valid(
        client.responses.create(model="any", input=items, max_output_tokens=20, temperature=0, tools=TOOLS, store=False)
    )
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.output


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    response = client.responses.parse(
        model="any",
        instructions="Answer in JSON.",
        input="Name a city.",
        text_format=City,
        max_output_tokens=200,
        temperature=0,
    )
    assert response.status == "completed"
    assert isinstance(response.output_parsed, City)


def test_a_form_is_held(client: openai.OpenAI) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}}
    response = client.responses.create(model="any", input="Name a city.", text=text, max_output_tokens=32)
    assert response.output_text in {'{"city": "Paris"}', '{"city": "Rome"}'}


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "hi " * 9000}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "web_search", "name": "x"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}}, "text.format.schema"),
        (
            {"tools": [{"type": "function", "name": "f", "strict": True, "parameters": {"not": {"type": "object"}}}]},
            "tools[0].parameters",
        ),
    ],
    ids=["limit", "too long", "stored", "hosted", "schema", "parameters"],
)
def test_errors_are_the_clients_own(parameters: dict[str, Any], param: str, client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**({"model": "any", "input": QUESTION, "max_output_tokens": 8} | parameters))
    assert caught.value.param == param


async def test_the_asynchronous_client_streams_too(client: openai.OpenAI) -> None:
    async with openai.AsyncOpenAI(base_url=str(client.base_url), api_key="unused", max_retries=0) as asynchronous:
        stream = await asynchronous.responses.create(model="any", input=QUESTION, max_output_tokens=8, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in {"response.completed", "response.incomplete"}
