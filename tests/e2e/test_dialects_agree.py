"""One conversation in every dialect, whole and streamed: the same text, the same call, the same counts."""

import json
from typing import Any

import httpx
import pytest
from support.server_process import ServerProcess

from conformance.dialects import dialect_of

pytestmark = pytest.mark.real

TURNS = [
    {"role": "user", "content": "My name is Ann."},
    {"role": "assistant", "content": "Hello Ann."},
    {"role": "user", "content": "Why is the sky blue?"},
]
SYSTEM = "Answer briefly."
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
ASK = [{"role": "user", "content": "What is the weather in Paris?"}]


def post(server: ServerProcess, path: str, body: dict[str, Any]) -> Any:
    """The answer; of a stream, what it adds up to by the suite that knows every dialect's streams."""
    answer = httpx.post(server.url + path, json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    if not body.get("stream"):
        return answer.json()
    dialect = dialect_of(path)
    stream = dialect.read_stream(answer.content)
    assert stream.problems == ()
    return dialect.joined(stream.values)


def in_openais_words(server: ServerProcess, messages: list[Any], **more: Any) -> tuple[str, list[Any], int, int]:
    answer = post(server, "/v1/chat/completions", {"messages": messages, "max_tokens": 40, "temperature": 0, **more})
    message, usage = answer["choices"][0]["message"], answer["usage"]
    calls = [
        [call["function"]["name"], json.loads(call["function"]["arguments"])] for call in message.get("tool_calls", [])
    ]
    return message["content"] or "", calls, usage["prompt_tokens"], usage["completion_tokens"]


def in_words_of_responses(server: ServerProcess, messages: list[Any], **more: Any) -> tuple[str, list[Any], int, int]:
    answer = post(server, "/v1/responses", {"input": messages, "max_output_tokens": 40, "temperature": 0, **more})
    text = "".join(item["content"][0]["text"] for item in answer["output"] if item["type"] == "message")
    calls = [
        [item["name"], json.loads(item["arguments"])] for item in answer["output"] if item["type"] == "function_call"
    ]
    return text, calls, answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]


def in_anthropics_words(server: ServerProcess, messages: list[Any], **more: Any) -> tuple[str, list[Any], int, int]:
    answer = post(server, "/v1/messages", {"messages": messages, "max_tokens": 40, "temperature": 0, **more})
    text = "".join(block["text"] for block in answer["content"] if block["type"] == "text")
    calls = [[block["name"], block["input"]] for block in answer["content"] if block["type"] == "tool_use"]
    return text, calls, answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]


def in_ollamas_words(server: ServerProcess, messages: list[Any], **more: Any) -> tuple[str, list[Any], int, int]:
    options = {"temperature": 0, "num_predict": 40}
    answer = post(
        server, "/api/chat", {"model": "m", "messages": messages, "options": options, "stream": False, **more}
    )
    message = answer["message"]
    calls = [[call["function"]["name"], call["function"]["arguments"]] for call in message.get("tool_calls", [])]
    return message["content"], calls, answer["prompt_eval_count"], answer["eval_count"]


def test_a_conversation_gets_one_answer(server: ServerProcess) -> None:
    told = [{"role": "system", "content": SYSTEM}, *TURNS]
    answer = in_openais_words(server, told)
    assert answer[0]
    assert in_words_of_responses(server, told) == answer
    assert in_words_of_responses(server, TURNS, instructions=SYSTEM) == answer
    assert in_anthropics_words(server, TURNS, system=SYSTEM) == answer
    assert in_ollamas_words(server, told) == answer


def test_a_call_is_one_call(server: ServerProcess) -> None:
    tool = {"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}
    answer = in_openais_words(server, ASK, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert answer[1][0][0] == "get_weather"
    flat: dict[str, Any] = {"tools": [{"type": "function", **FUNCTION}]}
    one = {"tool_choice": "required", "parallel_tool_calls": False}
    assert in_words_of_responses(server, ASK, **flat, **one) == answer
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert in_anthropics_words(server, ASK, tools=[tool], tool_choice=choice) == answer
    # Ollama's words have no way to demand a call.
    free = in_openais_words(server, ASK, tools=[TOOL])
    assert in_words_of_responses(server, ASK, **flat) == free
    assert in_anthropics_words(server, ASK, tools=[tool]) == free
    assert in_ollamas_words(server, ASK, tools=[TOOL]) == free


def test_a_schema_is_one_schema(server: ServerProcess) -> None:
    asked = [{"role": "user", "content": "Name a city."}]
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": PARAMETERS}}
    answer = in_openais_words(server, asked, response_format=form)
    text = {"format": {"type": "json_schema", "name": "city", "schema": PARAMETERS}}
    assert in_words_of_responses(server, asked, text=text) == answer
    output = {"format": {"type": "json_schema", "schema": PARAMETERS}}
    assert in_anthropics_words(server, asked, output_config=output) == answer
    assert in_ollamas_words(server, asked, format=PARAMETERS) == answer


def test_a_result_of_a_call_is_one_result(server: ServerProcess) -> None:
    arguments, result = {"city": "Paris"}, "21 degrees, sunny"
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(arguments)}}
    told = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call]}]
    told.append({"role": "tool", "tool_call_id": "call_1", "content": result})
    answer = in_openais_words(server, told, tools=[TOOL])
    named = {"call_id": "call_1", "name": "get_weather", "arguments": json.dumps(arguments)}
    items = [*ASK, {"type": "function_call", **named}]
    items.append({"type": "function_call_output", "call_id": "call_1", "output": result})
    assert in_words_of_responses(server, items, tools=[{"type": "function", **FUNCTION}]) == answer
    use = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": arguments}
    used = {"type": "tool_result", "tool_use_id": "call_1", "content": result}
    turns = [*ASK, {"role": "assistant", "content": [use]}, {"role": "user", "content": [used]}]
    tool = {"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}
    assert in_anthropics_words(server, turns, tools=[tool]) == answer
    # Ollama's calls need no ids; this model's template shows them.
    sent = {"id": "call_1", "function": {"name": "get_weather", "arguments": arguments}}
    lines = [*ASK, {"role": "assistant", "tool_calls": [sent]}]
    lines.append({"role": "tool", "tool_call_id": "call_1", "tool_name": "get_weather", "content": result})
    assert in_ollamas_words(server, lines, tools=[TOOL]) == answer


def test_streams_say_what_whole_answers_say(server: ServerProcess) -> None:
    answer = in_openais_words(server, TURNS)
    assert in_openais_words(server, TURNS, stream=True, stream_options={"include_usage": True}) == answer
    assert in_words_of_responses(server, TURNS, stream=True) == answer
    assert in_anthropics_words(server, TURNS, stream=True) == answer
    assert in_ollamas_words(server, TURNS, stream=True) == answer


def test_streamed_calls_are_one_call(server: ServerProcess) -> None:
    one = {"tool_choice": "required", "parallel_tool_calls": False, "stream": True}
    usage = {"stream_options": {"include_usage": True}}
    answer = in_openais_words(server, ASK, tools=[TOOL], **one, **usage)
    assert answer[1][0][0] == "get_weather"
    assert in_words_of_responses(server, ASK, tools=[{"type": "function", **FUNCTION}], **one) == answer
    tool = {"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert in_anthropics_words(server, ASK, tools=[tool], tool_choice=choice, stream=True) == answer
