"""`/v1/responses`: OpenAI's words for what the core says, in whole responses, events and errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi, contract
from support.event_stream import read_json_events
from support.scripted_model import CONTEXT_LENGTH, TEMPLATE_WITH_TOOLS, says

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
from obeaver.api.responses.request import parse_responses_request

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_responses.json").read_text("utf-8"))
PATH = "/v1/responses"
TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"type": "function", "name": "get_time"},
]
CALL = 'Let me see.<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'


async def response(served: Any, **parameters: Any) -> dict[str, Any]:
    reply = await served.post(PATH, **{"input": "Hi", "temperature": 0} | parameters)
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    contract.check("Response", answer)
    return answer


async def events(served: Any, **parameters: Any) -> list[dict[str, Any]]:
    reply = await served.post(PATH, **{"input": "Hi", "temperature": 0, "stream": True} | parameters)
    assert reply.status == 200, reply.body
    names = [line.removeprefix("event: ") for line in reply.body.decode().split("\n") if line.startswith("event: ")]
    found = read_json_events(reply.body, named=True)
    assert [event["type"] for event in found] == names
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in found:
        contract.check("ResponseEvent", event)
    return found


def joined(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items that the events add up to. Each must end as its deltas say."""
    items: list[dict[str, Any]] = []
    for event in found:
        if event["type"] == "response.output_item.added":
            assert event["output_index"] == len(items)
            items.append(event["item"])
        if "item_id" not in event:
            continue
        item = items[event["output_index"]]
        assert event["item_id"] == item["id"]
        match event["type"].removeprefix("response."):
            case "content_part.added":
                item["content"].append(event["part"])
            case "output_text.delta" | "reasoning_text.delta":
                item["content"][0]["text"] += event["delta"]
            case "function_call_arguments.delta":
                item["arguments"] += event["delta"]
            case "output_text.done" | "reasoning_text.done":
                assert item["content"][0]["text"] == event["text"]
            case "function_call_arguments.done":
                assert (item["arguments"], item["name"]) == (event["arguments"], event["name"])
            case "content_part.done":
                assert item["content"][0] == event["part"]
    ended = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert [item | {"status": ""} for item in ended] == [item | {"status": ""} for item in items]
    return ended


def without_ids(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("id", "call_id")}


def text_item(text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "status": status, "role": "assistant", "content": [part]}


@pytest.mark.parametrize(
    ("reply", "parameters", "output", "status"),
    [
        ("Hello", {}, [text_item("Hello")], "completed"),
        ("Hello", {"max_output_tokens": 3}, [text_item("Hel", "incomplete")], "incomplete"),
        ("one, two", {"stop": ["x", ", "]}, [text_item("one")], "completed"),
        ("", {}, [], "completed"),
        (
            "<think>Hm.</think>Yes.",
            {},
            [
                {
                    "type": "reasoning",
                    "status": "completed",
                    "summary": [],
                    "content": [{"type": "reasoning_text", "text": "Hm."}],
                },
                text_item("Yes."),
            ],
            "completed",
        ),
        (
            CALL,
            {"tools": TOOLS},
            [
                text_item("Let me see."),
                {
                    "type": "function_call",
                    "status": "completed",
                    "name": "get_weather",
                    "arguments": '{"city": "Paris"}',
                },
            ],
            "completed",
        ),
    ],
    ids=["text", "limit", "stop string", "nothing", "thinking", "a call"],
)
async def test_whole_and_streamed_answers_say_the_same(
    reply: str, parameters: dict[str, Any], output: list[dict[str, Any]], status: str, serve: Any
) -> None:
    async with serve(says(reply), template=TEMPLATE_WITH_TOOLS) as served:
        whole = await response(served, **parameters)
        found = await events(served, **parameters)
    last = found[-1]["response"]
    assert joined(found) == last["output"]
    assert found[-1]["type"] == f"response.{status}"
    for answer in (whole, last):
        assert answer["id"].startswith("resp_")
        assert [without_ids(item) for item in answer["output"]] == output
        assert len({item["id"] for item in answer["output"]}) == len(output)
        assert answer["status"] == status
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        assert (answer["incomplete_details"], answer["error"]) == (reason, None)
    volatile = {"id": "", "created_at": 0, "output": [], "usage": None}
    assert whole | volatile == last | volatile
    for name in ("input_tokens", "output_tokens", "output_tokens_details", "total_tokens"):
        assert whole["usage"][name] == last["usage"][name]


async def test_events_come_in_the_documented_order(serve: Any) -> None:
    async with serve(says(f"<think>Hm.</think>{CALL}"), template=TEMPLATE_WITH_TOOLS) as served:
        found = await events(served, tools=TOOLS)
    kinds = [event["type"].removeprefix("response.") for event in found]
    order = [kind for kind, previous in zip(kinds, ["", *kinds], strict=False) if kind != previous]
    text = ["output_item.added", "content_part.added"], ["content_part.done", "output_item.done"]
    assert order == [
        "created",
        "in_progress",
        *text[0],
        "reasoning_text.delta",
        "reasoning_text.done",
        *text[1],
        *text[0],
        "output_text.delta",
        "output_text.done",
        *text[1],
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert found[0]["response"] == found[1]["response"]
    assert (found[0]["response"]["status"], found[0]["response"]["output"]) == ("in_progress", [])
    assert found[0]["response"]["id"] == found[-1]["response"]["id"]


async def test_a_call_that_the_limit_cuts_is_incomplete(serve: Any) -> None:
    async with serve(says(CALL), template=TEMPLATE_WITH_TOOLS) as served:
        num_tokens = (await response(served, tools=TOOLS))["usage"]["output_tokens"]
        found = await events(served, tools=TOOLS, max_output_tokens=num_tokens - len('is"}}'))
    item = joined(found)[-1]
    assert (item["type"], item["status"]) == ("function_call", "incomplete")
    assert '{"city": "Paris"}'.startswith(item["arguments"])
    assert found[-1]["type"] == "response.incomplete"


def test_items_become_messages() -> None:
    items = [
        {"role": "developer", "content": "Use tools."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "get_weather",
            "arguments": '{"city": "Bern"}',
        },
        {"type": "function_call", "call_id": "c2", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "21"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "noon"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}], "encrypted_content": "…"},
        {"role": "assistant", "content": "It is warm."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No more."}]},
        {"role": "user", "content": "Thanks"},
    ]
    asked = parse_responses_request({"instructions": "Be brief.", "input": items})
    assert asked.conversation.messages == (
        SystemMessage(text_parts("Be brief.")),
        SystemMessage(text_parts("Use tools.")),
        UserMessage(text_parts("What is the weather?")),
        AssistantMessage(
            text_parts("Let me see."),
            "Hm.",
            (Call("c1", "get_weather", '{"city": "Bern"}'), Call("c2", "get_time", "{}")),
        ),
        ToolResult("c1", text_parts("21")),
        ToolResult("c2", text_parts("noon")),
        AssistantMessage(text_parts("It is warm."), "So."),
        AssistantMessage(text_parts("No more.")),
        UserMessage(text_parts("Thanks")),
    )


async def test_the_items_of_a_response_can_be_sent_back(serve: Any) -> None:
    async with serve(says(f"<think>Hm.</think>{CALL}"), template=TEMPLATE_WITH_TOOLS) as served:
        first = await response(served, tools=TOOLS)
    call = first["output"][-1]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "21"}
    asked = parse_responses_request({"input": [{"role": "user", "content": "Hi"}, *first["output"], result]})
    assert asked.conversation.messages[1:] == (
        AssistantMessage(
            text_parts("Let me see."), "Hm.", (Call(call["call_id"], "get_weather", '{"city": "Paris"}'),)
        ),
        ToolResult(call["call_id"], text_parts("21")),
    )


def test_parameters_become_values() -> None:
    schema = {"type": "object"}
    asked = parse_responses_request(
        {
            "input": "Hi",
            "max_output_tokens": 2000,
            "temperature": 0.5,
            "top_k": 7,
            "top_p": 0.9,
            "seed": 3,
            "stop": "a",
            "reasoning": {"effort": "max", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}},
            "tools": TOOLS,
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "get_time"}],
            },
            "parallel_tool_calls": False,
        }
    )
    sampling, conversation = asked.sampling, asked.conversation
    assert sampling == sampling_of(
        {"temperature": 0.5, "top_k": 7, "top_p": 0.9, "seed": 3, "stop": ["a"]}, max_tokens=2000
    )
    assert conversation.reasoning == Reasoning("xhigh")
    assert conversation.form == JsonForm(schema, at="text.format", schema_at="text.format.schema")
    assert [tool.name for tool in conversation.tools.offered] == ["get_time"]
    assert conversation.tools.choice.mode == "required"
    assert not conversation.tools.parallel


def test_what_is_not_said_has_the_defaults_of_every_dialect() -> None:
    asked = parse_responses_request({"input": "Hi"})
    assert asked.sampling == sampling_of({}, max_tokens=1024)
    assert asked.conversation.messages == (UserMessage(text_parts("Hi")),)
    assert (asked.model, asked.stream, asked.conversation.form) == ("", False, None)


async def test_a_response_repeats_its_request_and_is_not_stored_where_nothing_is(serve: Any) -> None:
    given = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "store": True,
        "temperature": 0.5,
        "tool_choice": "none",
        "text": {"format": {"type": "text"}},
        "user": "u",
        "background": False,
        "previous_response_id": None,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "auto",
        "truncation": "disabled",
    }
    async with serve(says("Hello")) as served:
        answer = await response(served, **given, tools=TOOLS)
    same = ("instructions", "max_output_tokens", "metadata", "temperature", "tool_choice", "user", "truncation")
    assert {name: answer[name] for name in same} == {name: given[name] for name in same}
    assert (answer["store"], answer["previous_response_id"], answer["top_p"]) == (False, None, 1.0)
    assert answer["tools"][1] == {
        "type": "function",
        "name": "get_time",
        "description": None,
        "parameters": None,
        "strict": False,
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_body_gets_its_error_and_the_next_request_its_answer(row: dict[str, Any], serve: Any) -> None:
    body = row["raw"].encode() if "raw" in row else json.dumps(row["body"]).encode()
    headers = {"content-type": "application/json"}
    async with serve(template=TEMPLATE_WITH_TOOLS) as served:
        reply = await asgi.request(served.app, "POST", PATH, body=body, headers=headers)
        error = reply.json()["error"]
        assert (reply.status, error["type"], error["param"]) == (row["status"], "invalid_request_error", row["param"])
        assert error["message"]
        assert [without_ids(item) for item in (await response(served))["output"]] == [text_item("Hello")]


async def test_a_prompt_beyond_the_context_names_the_input(serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(PATH, input="x" * CONTEXT_LENGTH, stream=True)
    error = reply.json()["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "context_length_exceeded", "input")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"instructions": "Be brief."},
        {"tools": TOOLS},
        {
            "input": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Bye"},
            ]
        },
        {"reasoning": {"effort": "high"}},
        {"truncation": "auto"},
    ],
)
async def test_what_is_counted_is_what_an_answer_takes(more: dict[str, Any], serve: Any) -> None:
    async with serve(template=TEMPLATE_WITH_TOOLS) as served:
        reply = await served.post(f"{PATH}/input_tokens", **({"input": "Hi"} | more))
        whole = await response(served, **more)
    assert reply.status == 200, reply.body
    contract.check("ResponseInputTokens", reply.json())
    assert reply.json()["input_tokens"] == whole["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": "Hi", "previous_response_id": "resp_none"}, "previous_response_id"),
        ({"input": "x" * 1_000_000}, "input"),
    ],
)
async def test_what_cannot_be_counted_is_told(body: dict[str, Any], param: str, serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(f"{PATH}/input_tokens", **body)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)


async def test_a_stream_that_fails_ends_with_what_there_is(serve: Any) -> None:
    async with serve(says("Hello"), fails=lambda num_runs: num_runs == 4) as served:
        found = await events(served)
    assert found[-1]["type"] == "response.failed"
    failed = found[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert failed["error"]["message"]
    assert any(event["type"] == "response.output_text.delta" for event in found)
