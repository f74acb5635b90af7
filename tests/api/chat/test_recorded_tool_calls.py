"""What models of all dialects write, replayed: the official client makes the same of a stream and of a plain answer."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from support.decoders import events_of
from support.scripted_model import TEMPLATE, make_grammars, says

from obeaver.models.dialects import think_markers, tool_dialect
from obeaver.text.events import Answer, join_events
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

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
    "toolcall": "<TOOLCALL>",
    "tool_calls": "<tool_calls>",
    "gigachat": "<|function_call|>",
    "gigachat3": "function call <|role_sep|>",
    "tools_prefix": "<|tools_prefix|>",
    "command": "<|START_ACTION|>",
    "action": "Action: ```json tool_name",
    "kimi": "<|tool_call_begin|>",
    "deepseek": "<｜tool▁call▁begin｜> ```json",
    "deepseek_v3_1": "<｜tool▁call▁begin｜>",
    "harmony": "<|channel|>analysis<|message|> commentary",
    "seed": "<seed:tool_call>",
    "glm": "<arg_key> <arg_value>",
    "minimax": "<minimax:tool_call>",
    "minimax_m3": "]<]minimax[>[ <invoke name=",
    "deepseek_v3_2": "｜DSML｜ function_calls>",
    "deepseek_v4": "｜DSML｜ tool_calls>",
    "minicpm": '<function name=" <param name="',
    "python": "func_name1(",
    "lfm2": "<|tool_call_start|>",
    "gemma4": "<|tool_call>call:",
    "kimi_k3": "<|open|> <|sep|> ('call')",
    "hunyuan": "<tool_sep{}> <arg_key{}> :opensource",
    "solar": "<|tool_call:begin|>",
    "functionary": ">>>${recipient}",
}
WITHOUT_MARKERS = {"tool_code", "json_block", "function_call", "json"}
"""No template names these: models write them of their own, or are known by another fact."""
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
    assert plain.message.content == recorded["content"]
    # Behind reasoning, a stream has begun with an empty content.
    assert (streamed.message.content or None) == recorded["content"]
    for message in (plain.message, streamed.message):
        assert getattr(message, "reasoning_content", None) == recorded.get("reasoning")
    assert plain.finish_reason == streamed.finish_reason == "tool_calls"


def test_every_dialect_is_recorded_or_known_to_have_no_marker() -> None:
    assert set(MARKERS) | WITHOUT_MARKERS == set(DIALECTS)
    for dialect, marker in MARKERS.items():
        assert tool_dialect(f"{marker} tools", "llama") == dialect


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
def test_a_recorded_answer_cut_at_any_place_is_the_same(recorded: dict[str, Any]) -> None:
    text = recorded["text"]
    whole = read(recorded, [text])
    assert [[call.name, json.loads(call.arguments)] for call in whole.tool_calls] == recorded["calls"]
    assert (whole.content or None, whole.reasoning or None) == (recorded["content"], recorded.get("reasoning"))
    assert read(recorded, list(text)) == whole
    for place in range(1, len(text)):
        assert read(recorded, [text[:place], text[place:]]) == whole


def read(recorded: dict[str, Any], pieces: list[str]) -> Answer:
    marker = template(recorded["template_marker"])
    markers = think_markers(marker, "")
    events = events_of(
        pieces,
        think=ThinkMarkers(*markers) if markers else None,
        tool_dialect=tool_dialect(marker, "llama"),
        tools=[ToolSpec("get_weather", parameters=PARAMETERS)],
        new_call_id=lambda: "call",
    )
    return join_events(events)


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
