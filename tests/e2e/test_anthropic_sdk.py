"""The official Anthropic client against the default model."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

GREEDY: dict[str, Any] = {"temperature": 0}
TOOLS: list[Any] = [
    {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    }
]
QUESTION: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def claude(server: ServerProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0, timeout=120) as client:
        yield client


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_whole_and_streamed_is_the_chat_endpoints(claude: anthropic.Anthropic, client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "any", "max_tokens": 24, "messages": QUESTION, "extra_body": GREEDY}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        deltas = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    chat = client.chat.completions.create(model="any", messages=QUESTION, max_tokens=24, temperature=0)
    assert chat.usage is not None
    assert text_of(whole) == text_of(streamed) == deltas == chat.choices[0].message.content
    for message in (whole, streamed):
        assert message.stop_reason == "max_tokens"
        assert message.usage.input_tokens == chat.usage.prompt_tokens
        assert message.usage.output_tokens == chat.usage.completion_tokens == 24


def test_tokens_are_counted_as_they_are_used(claude: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": "any", "system": "Answer briefly.", "tools": TOOLS, "messages": QUESTION}
    counted = claude.messages.count_tokens(**asked)
    used = [claude.messages.create(max_tokens=1, **asked).usage for _ in range(2)]
    assert [usage.input_tokens for usage in used] == [counted.input_tokens] * 2
    # All but the last token, which is computed for the answer's sake.
    assert (used[1].cache_read_input_tokens or 0) >= counted.input_tokens - 1


def test_a_tool_is_called_and_answered(claude: anthropic.Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with claude.messages.stream(
        model="any",
        max_tokens=100,
        messages=messages,
        tools=TOOLS,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        extra_body=GREEDY,
    ) as stream:
        first = stream.get_final_message()
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert call.name == "get_weather"
    assert isinstance(call.input, dict)
    assert call.input["city"] in {"Paris", "Rome"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "21 degrees, sunny"}]}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = claude.messages.create(model="any", max_tokens=20, messages=messages, tools=TOOLS, extra_body=GREEDY)
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.content


def test_a_stop_sequence_is_named(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model="any", max_tokens=64, messages=QUESTION, stop_sequences=["nowhere", " the "], extra_body=GREEDY
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " the ")
    assert " the " not in text_of(message)


def test_an_answer_is_held_to_a_schema(claude: anthropic.Anthropic) -> None:
    schema: Any = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    message = claude.messages.create(
        model="any",
        max_tokens=32,
        messages=[{"role": "user", "content": "Name a city."}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert text_of(message) in {'{"city": "Paris"}', '{"city": "Rome"}'}


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"messages": [{"role": "user", "content": "hi " * 9000}]}, anthropic.BadRequestError),
    ],
)
def test_errors_are_the_clients_own(
    parameters: dict[str, Any], error: type[anthropic.APIStatusError], claude: Any
) -> None:
    with pytest.raises(error) as caught:
        claude.messages.create(**({"model": "any", "max_tokens": 8, "messages": QUESTION} | parameters))
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.request_id == caught.value.body["request_id"]


async def test_the_asynchronous_client_streams_too(server: ServerProcess) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=server.url, api_key="unused", max_retries=0) as claude,
        claude.messages.stream(model="any", max_tokens=8, messages=QUESTION) as stream,
    ):
        kinds = [event.type async for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
