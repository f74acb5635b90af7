"""`/v1/messages`: Anthropic's words for what the core says, in whole answers, events and errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi, contract
from support.event_stream import read_json_events
from support.scripted_model import CONTEXT_LENGTH, TEMPLATE_WITH_TOOLS, says

from obeaver.api.anthropic.request import parse_messages_request
from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Reasoning,
    SystemMessage,
    ToolResult,
    UserMessage,
    text_parts,
)
from obeaver.api.core.sampling import sampling_of
from obeaver.api.routes import routes
from obeaver.web.access import ApiKey
from obeaver.web.in_flight import Drain, InFlight
from obeaver.web.middleware import ErrorBoundary
from obeaver.web.router import Router

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_messages.json").read_text("utf-8"))
PATH = "/v1/messages"
HI = [{"role": "user", "content": "Hi"}]
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather of a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
CALL = 'Let me see.<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'


async def message(served: Any, **parameters: Any) -> dict[str, Any]:
    reply = await served.post(PATH, **{"max_tokens": 200, "messages": HI, "temperature": 0} | parameters)
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    contract.check("AnthropicMessage", answer)
    return answer


async def events(served: Any, **parameters: Any) -> list[dict[str, Any]]:
    reply = await served.post(
        PATH, **{"max_tokens": 200, "messages": HI, "temperature": 0, "stream": True} | parameters
    )
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    names = [line.removeprefix("event: ") for line in reply.body.decode().split("\n") if line.startswith("event: ")]
    found = read_json_events(reply.body, named=True)
    assert [event["type"] for event in found] == names
    for event in found:
        contract.check("AnthropicEvent", event)
    return found


def joined(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What Anthropic's clients add the events up to."""
    answer: dict[str, Any] = {}
    texts: dict[int, str] = {}
    for event in found:
        match event["type"]:
            case "message_start":
                answer = event["message"]
            case "content_block_start":
                assert event["index"] == len(answer["content"])
                answer["content"].append(event["content_block"])
                texts[event["index"]] = ""
            case "content_block_delta":
                texts[event["index"]] += next(event["delta"][name] for name in event["delta"] if name != "type")
            case "content_block_stop":
                block, text = answer["content"][event["index"]], texts[event["index"]]
                kinds = {"text": "text", "thinking": "thinking"}
                block |= {"input": json.loads(text)} if block["type"] == "tool_use" else {kinds[block["type"]]: text}
            case "message_delta":
                answer |= event["delta"] | {"usage": event["usage"]}
    assert found[-1] == {"type": "message_stop"}
    return answer


@pytest.mark.parametrize(
    ("reply", "parameters", "content", "stop"),
    [
        ("Hello", {}, [{"type": "text", "text": "Hello"}], ("end_turn", None)),
        ("Hello", {"max_tokens": 3}, [{"type": "text", "text": "Hel"}], ("max_tokens", None)),
        ("one, two", {"stop_sequences": ["x", ", "]}, [{"type": "text", "text": "one"}], ("stop_sequence", ", ")),
        ("", {}, [], ("end_turn", None)),
        (
            "<think>Hm.</think>Yes.",
            {},
            [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "Yes."}],
            ("end_turn", None),
        ),
        (
            CALL,
            {"tools": TOOLS},
            [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "", "name": "get_weather", "input": {"city": "Paris"}},
            ],
            ("tool_use", None),
        ),
    ],
    ids=["text", "limit", "stop sequence", "nothing", "thinking", "a call"],
)
async def test_whole_and_streamed_answers_say_the_same(
    reply: str, parameters: dict[str, Any], content: list[dict[str, Any]], stop: tuple[str, str | None], serve: Any
) -> None:
    async with serve(says(reply), template=TEMPLATE_WITH_TOOLS) as served:
        whole = await message(served, **parameters)
        streamed = joined(await events(served, **parameters))
    for answer in (whole, streamed):
        assert answer["id"].startswith("msg_")
        assert [block | ({"id": ""} if "id" in block else {}) for block in answer["content"]] == content
        assert (answer["stop_reason"], answer["stop_sequence"]) == stop
    assert whole["usage"]["input_tokens"] == streamed["usage"]["input_tokens"]
    assert whole["usage"]["output_tokens"] == streamed["usage"]["output_tokens"]


async def test_a_stream_says_the_prompts_tokens_before_anything_else(serve: Any) -> None:
    async with serve(says("Hello")) as served:
        first, second, *_ = await events(served)
        whole = await message(served)
    assert first["message"]["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    assert second == {"type": "ping"}


async def test_the_count_of_tokens_is_the_usages(serve: Any) -> None:
    asked = {"messages": HI, "tools": TOOLS, "system": [{"type": "text", "text": "Be brief."}]}
    async with serve(says("Hello"), template=TEMPLATE_WITH_TOOLS) as served:
        counted = (await served.post(f"{PATH}/count_tokens", **asked)).json()
        again = [await message(served, **asked) for _ in range(2)]
    contract.check("AnthropicTokenCount", counted)
    assert [answer["usage"]["input_tokens"] for answer in again] == [counted["input_tokens"]] * 2


def test_turns_become_messages() -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "What is the weather?", "cache_control": {"type": "x"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "…"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Zürich"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "21"}]},
                {"type": "tool_result", "tool_use_id": "t2", "content": "no such city", "is_error": True},
                {"type": "tool_result", "tool_use_id": "t3"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    asked = parse_messages_request({"max_tokens": 9, "system": "Be brief.", "messages": turns})
    assert asked.conversation.messages == (
        SystemMessage(text_parts("Be brief.")),
        UserMessage(text_parts("What is the weather?")),
        AssistantMessage(text_parts("Let me see."), "Hm.", (Call("t1", "get_weather", '{"city": "Zürich"}'),)),
        ToolResult("t1", text_parts("21")),
        ToolResult("t2", text_parts("Error:", "no such city")),
        ToolResult("t3", text_parts("")),
        UserMessage(text_parts("And now?")),
    )


def test_parameters_become_values() -> None:
    schema = {"type": "object"}
    asked = parse_messages_request(
        {
            "max_tokens": 2000,
            "messages": HI,
            "temperature": 0.5,
            "top_k": 7,
            "top_p": 0.9,
            "stop_sequences": ["a", ""],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": schema}},
            "tools": TOOLS,
            "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "u"},
        }
    )
    sampling, conversation = asked.sampling, asked.conversation
    assert (sampling.max_tokens, sampling.temperature, sampling.top_k, sampling.top_p) == (2000, 0.5, 7, 0.9)
    assert sampling.stop == ("a",)
    assert conversation.reasoning == Reasoning("xhigh", enabled=True)
    assert conversation.form == JsonForm(schema, at="output_config.format", schema_at="output_config.format.schema")
    assert (conversation.tools.choice.mode, conversation.tools.choice.name) == ("function", "get_weather")
    assert not conversation.tools.parallel


def test_what_is_not_said_has_the_defaults_of_every_dialect() -> None:
    asked = parse_messages_request({"max_tokens": 9, "messages": HI, "thinking": {"type": "disabled"}})
    assert asked.sampling == sampling_of({}, max_tokens=9)
    assert asked.conversation.reasoning == Reasoning(None, enabled=False)
    assert (asked.model, asked.stream, asked.conversation.form) == ("", False, None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_body_gets_its_error_and_the_next_request_its_answer(row: dict[str, Any], serve: Any) -> None:
    body = row["raw"].encode() if "raw" in row else json.dumps(row["body"]).encode()
    headers = {"content-type": "application/json"}
    async with serve() as served:
        reply = await asgi.request(served.app, "POST", PATH, body=body, headers=headers)
        error = reply.json()
        assert (reply.status, error["type"], error["error"]["type"]) == (row["status"], "error", row["type"])
        # There is no field for the parameter at fault: the words name it, or say that there is no object to have one.
        assert ("`" in error["error"]["message"]) == ("raw" not in row)
        assert error["request_id"] == reply.headers["request-id"]
        assert (await message(served))["content"] == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize(
    "more", [{"max_tokens": 8}, {"max_tokens": 8, "stream": True}, {}], ids=["whole", "stream", "count"]
)
async def test_every_answer_has_the_id_of_its_request(more: dict[str, Any], serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(PATH if more else f"{PATH}/count_tokens", messages=HI, **more)
    assert reply.status == 200
    assert reply.headers["request-id"] == reply.headers["x-request-id"]


async def test_a_prompt_beyond_the_context_is_told_in_anthropics_words(serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(PATH, max_tokens=8, messages=[{"role": "user", "content": "x" * CONTEXT_LENGTH}])
    error = reply.json()["error"]
    assert (reply.status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith("prompt is too long: ")
    assert str(CONTEXT_LENGTH) in error["message"]


async def test_a_stream_that_fails_ends_with_an_error_event(serve: Any) -> None:
    async with serve(says("Hello"), fails=lambda num_runs: num_runs == 4) as served:
        reply = await served.post(PATH, max_tokens=8, messages=HI, stream=True)
    last = read_json_events(reply.body, named=True)[-1]
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert reply.body.decode().rstrip().split("\n")[-2] == "event: error"


async def test_every_refusal_on_its_paths_has_anthropics_shape(serve: Any) -> None:
    async with serve() as served:
        method = await asgi.request(served.app, "GET", PATH)
        form = await asgi.request(served.app, "POST", PATH, body=b"x", headers={"content-type": "text/plain"})
        large = await asgi.request(served.app, "POST", PATH, body=b'"' + b"x" * 20_000_000 + b'"')
        router = Router(routes(served.state))
        locked = ErrorBoundary(ApiKey(router, keys=["k"]), shape_of=router.error_shape)
        in_flight = InFlight()
        stopping = ErrorBoundary(Drain(router, in_flight=in_flight), shape_of=router.error_shape)
        unknown = await asgi.request(locked, "POST", PATH, data={})
        by_key = await asgi.request(locked, "POST", PATH, data={}, headers={"x-api-key": "k"})
        await in_flight.drain(0)
        stopped = await asgi.request(stopping, "POST", PATH, data={})
    told = [(reply.status, reply.json()["error"]["type"]) for reply in (method, form, large, unknown, by_key, stopped)]
    assert told == [
        (405, "invalid_request_error"),
        (415, "invalid_request_error"),
        (413, "request_too_large"),
        (401, "authentication_error"),
        (400, "invalid_request_error"),
        (503, "overloaded_error"),
    ]
