"""What models of all dialects write, replayed: the official client makes the same of a stream and of a plain answer."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from support.scripted_model import TEMPLATE, make_grammars, says

from obeaver.text.tool_calls.dialects import DIALECTS

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded_tool_calls.json").read_text("utf-8"))
PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "note": {"type": "string"}, "days": {"type": "integer"}},
}
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
]
MARKERS = {
    "hermes": "<tool_call>",
    "qwen3_coder": "<parameter=",
    "phi": "<|tool_call|>",
    "functools": "functools[",
    "mistral_list": "[TOOL_CALLS]",
    "mistral": "[TOOL_CALLS][ARGS]",
    "llama3": "<|python_tag|>",
    "function_calls": "<|function_calls|>",
    "functioncall": "<functioncall>",
}
FIRST = {"city": 'Zürich "Süd" {1}', "note": "a\\b } ] 🦫", "days": 3}
SECOND = {"city": "東京", "note": "[]{}", "days": 1}


def template(marker: str) -> str:
    """One that knows tools, and so says which dialect the model writes."""
    return f"{{# {marker} #}}{{% if tools %}}{{{{ tools | tojson }}}}{{% endif %}}{TEMPLATE}"


async def both_ways(app: Any, **parameters: Any) -> tuple[Any, Any]:
    """The choice of a plain answer, and the one that the client accumulates from a stream."""
    request: Any = {"model": "any", "messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS, "temperature": 0}
    in_process: Any = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    async with (
        in_process as http,
        openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="unused", http_client=http, max_retries=0) as client,
    ):
        plain = await client.chat.completions.create(**request, **parameters)
        async with client.chat.completions.stream(**request, **parameters) as stream:
            streamed = await stream.get_final_completion()
    return plain.choices[0], streamed.choices[0]


def calls_of(message: Any) -> list[list[Any]]:
    return [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or []]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
async def test_a_recorded_answer_is_the_same_calls_streamed_or_not(serve: Any, recorded: dict[str, Any]) -> None:
    async with serve(says(recorded["text"]), template=template(recorded["template_marker"])) as served:
        plain, streamed = await both_ways(served.app)
    assert calls_of(plain.message) == recorded["calls"]
    assert calls_of(streamed.message) == recorded["calls"]
    assert plain.message.content == streamed.message.content == recorded["content"]
    assert plain.finish_reason == streamed.finish_reason == "tool_calls"


@pytest.mark.parametrize("dialect", sorted(MARKERS))
async def test_calls_in_the_models_own_dialect_pass_the_grammar_unchanged(serve: Any, dialect: str) -> None:
    calls = [("get_weather", json.dumps(arguments, ensure_ascii=False)) for arguments in (FIRST, SECOND)]
    if dialect == "functioncall":
        calls = calls[:1]
    text = DIALECTS[dialect].format.write(calls)
    async with serve(says(text), template=template(MARKERS[dialect]), grammars=make_grammars()) as served:
        for choice in ("auto", "required"):
            plain, streamed = await both_ways(served.app, tool_choice=choice)
            expected = [["get_weather", json.loads(arguments)] for _, arguments in calls]
            assert calls_of(plain.message) == calls_of(streamed.message) == expected
            assert plain.message.content is None
            assert plain.finish_reason == streamed.finish_reason == "tool_calls"
