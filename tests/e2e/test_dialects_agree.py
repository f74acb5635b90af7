"""One conversation in every dialect: the same text, the same call, the same counts."""

import json
from typing import Any

import httpx
import pytest
from support.server_process import ServerProcess

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
    answer = httpx.post(server.url + path, json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


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
