"""Tools in chat requests: what the model is told, and what the client gets."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from support.scripted_model import TEMPLATE, TEMPLATE_WITH_TOOLS, Reply, ids_of, make_grammars, says

from obeaver.models.dialects import tool_dialect
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS

USER = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
TOOLS = [WEATHER, CLOCK]
ARGUMENTS = '{"city": "Ulaanbaatar \\"🦫\\" {1}"}'
CALL = f'<tool_call>\n{{"name": "get_weather", "arguments": {ARGUMENTS}}}\n</tool_call>'
TWO_CALLS = CALL + '\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'


def recording(prompts: list[str], answer: str = "Fine") -> Reply:
    def reply(prompt: str) -> list[int]:
        prompts.append(prompt)
        return ids_of(answer)

    return reply


def accumulated(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of a stream."""
    content: str | None = None
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        if delta.get("content") is not None:
            content = (content or "") + delta["content"]
        for part in delta.get("tool_calls", []):
            call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
            call.update({key: part[key] for key in ("id", "type") if key in part})
            for key, text in part["function"].items():
                call["function"][key] += text
    return {"content": content, "tool_calls": [calls[index] for index in sorted(calls)]}


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    calls = [{key: value for key, value in call.items() if key != "id"} for call in message["tool_calls"]]
    return {"content": message["content"], "tool_calls": calls}


async def test_a_template_that_knows_tools_gets_those_that_may_be_called(serve: Any) -> None:
    prompts: list[str] = []
    named = {"type": "function", "function": {"name": "get_time"}}
    async with serve(recording(prompts), template=TEMPLATE_WITH_TOOLS, grammars=make_grammars()) as served:
        await served.answer(tools=TOOLS)
        await served.answer(tools=TOOLS, tool_choice="none")
        await served.answer(tools=TOOLS, tool_choice=named)
        await served.answer(tools=[])
    seen = [[name in prompt for name in ("get_weather", "get_time")] for prompt in prompts]
    assert seen == [[True, True], [False, False], [False, True], [False, False]]
    assert json.dumps(WEATHER) in prompts[0]


async def test_a_template_that_knows_no_tools_has_them_in_the_system_message(serve: Any) -> None:
    prompts: list[str] = []
    async with serve(recording(prompts), grammars=make_grammars()) as served:
        await served.answer(tools=TOOLS, messages=[{"role": "system", "content": "Be kind."}, *served.user])
        await served.answer(tools=TOOLS, tool_choice="none")
        await served.answer(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "get_time"}})
    system, user, *_ = prompts[0].split("<|im_end|>")
    assert system.startswith("<|im_start|>system\nBe kind.")
    assert "get_weather" in system
    assert "get_time" in system
    assert user == "\n<|im_start|>user\nHi"
    assert "get_weather" not in prompts[1]
    assert "get_time" in prompts[2]
    assert "get_weather" not in prompts[2]


@pytest.mark.parametrize("template", [None, TEMPLATE_WITH_TOOLS])
@pytest.mark.parametrize(
    ("answer", "content", "names"),
    [
        (CALL, None, ["get_weather"]),
        (TWO_CALLS, None, ["get_weather", "get_time"]),
        (f"Let me see.\n{CALL}", "Let me see.", ["get_weather"]),
    ],
)
async def test_calls_are_calls_and_a_stream_accumulates_to_the_same(
    serve: Any, template: str | None, answer: str, content: str | None, names: list[str]
) -> None:
    options = {} if template is None else {"template": template}
    async with serve(says(answer), **options) as served:
        whole = await served.answer(tools=TOOLS)
        chunks = await served.stream(tools=TOOLS)
    message = whole["choices"][0]["message"]
    assert (message["content"], whole["choices"][0]["finish_reason"]) == (content, "tool_calls")
    assert [call["function"]["name"] for call in message["tool_calls"]] == names
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == json.loads(ARGUMENTS)
    assert len({call["id"] for call in message["tool_calls"]}) == len(names)
    assert without_ids(accumulated(chunks)) == without_ids(message)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    ChatCompletion.model_validate(whole)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)


ONE_CALL_A_TURN = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}{{ raise_exception('One!') }}{% endif %}"
    "{% endfor %}"
    + TEMPLATE_WITH_TOOLS.replace("{{ message.content }}", "{{ message.content }}{{ message.tool_calls }}")
)
NINE_LETTERS = (
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id | length != 9 %}{{ raise_exception('9!') }}"
    "{% endif %}{% endfor %}{% endfor %}"
    + TEMPLATE_WITH_TOOLS.replace(
        "{{ message.content }}", "{{ message.content }}{{ message.tool_calls }}{{ message.tool_call_id }}"
    )
)


@pytest.mark.parametrize(("template", "num_calls"), [(ONE_CALL_A_TURN, 1), (NINE_LETTERS, 2), (TEMPLATE, 2)])
@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_an_answer_with_calls_comes_back_with_their_results(
    serve: Any, template: str, num_calls: int, choice: str
) -> None:
    prompts: list[str] = []
    async with serve(recording(prompts, TWO_CALLS), template=template, grammars=make_grammars()) as served:
        first = (await served.answer(tools=TOOLS, tool_choice=choice))["choices"][0]
        message = first["message"]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"result {place}"}
            for place, call in enumerate(message["tool_calls"])
        ]
        await served.answer(tools=TOOLS, messages=[*served.user, message, *results])
    assert (first["finish_reason"], len(message["tool_calls"])) == ("tool_calls", num_calls)
    words = ["Ulaanbaatar", *(f"result {place}" for place in range(num_calls))]
    assert all(word in prompts[-1] for word in words)


async def test_two_calls_of_another_server_are_told_to_a_template_that_takes_one(serve: Any) -> None:
    prompts: list[str] = []
    calls = [
        {"id": name, "type": "function", "function": {"name": "get_time", "arguments": ""}} for name in ("one", "two")
    ]
    results = [{"role": "tool", "tool_call_id": name, "content": f"result {name}"} for name in ("one", "two")]
    messages = [*USER, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    async with serve(recording(prompts), template=ONE_CALL_A_TURN) as served:
        await served.answer(tools=TOOLS, messages=messages)
    places = [prompts[-1].index(words) for words in ("'one'", "result one", "'two'", "result two")]
    assert places == sorted(places)


async def test_arguments_stream_in_pieces(serve: Any) -> None:
    async with serve(says(CALL)) as served:
        chunks = await served.stream(tools=TOOLS)
    parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert parts[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert parts[0]["type"] == "function"
    assert [set(part) for part in parts[1:]] == [{"index", "function"}] * (len(parts) - 1)


async def test_with_parallel_tool_calls_off_there_is_one_call(serve: Any) -> None:
    async with serve(says(TWO_CALLS)) as served:
        choice = (await served.answer(tools=TOOLS, parallel_tool_calls=False))["choices"][0]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["get_weather"]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("parameters", [{}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_where_nothing_may_be_called_what_looks_like_a_call_is_text(
    serve: Any, parameters: dict[str, Any]
) -> None:
    text = '{"name": "get_weather", "arguments": {}}'
    async with serve(says(text)) as served:
        choice = (await served.answer(**parameters))["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, "stop")
    assert "tool_calls" not in choice["message"]


async def test_a_call_that_the_limit_cuts_off_ends_with_length(serve: Any) -> None:
    async with serve(says(CALL)) as served:
        choice = (await served.answer(tools=TOOLS, max_tokens=45))["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


async def test_calls_and_results_of_earlier_turns_are_told_to_a_template_that_knows_no_tools(serve: Any) -> None:
    prompts: list[str] = []
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    async with serve(recording(prompts)) as served:
        messages = [
            *served.user,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
        ]
        await served.answer(messages=messages, tools=TOOLS)
        await served.answer(messages=messages)
    written = DIALECTS[DEFAULT_DIALECT].format.write([("get_weather", '{"city": "Paris"}')])
    for prompt in prompts:
        assert f"<|im_start|>assistant\n{written}<|im_end|>" in prompt
        assert "Sunny" in prompt


async def test_logprobs_leave_out_the_tokens_of_calls(serve: Any) -> None:
    async with serve(says(f"Wait.{CALL}")) as served:
        choice = (await served.answer(tools=TOOLS, logprobs=True))["choices"][0]
    assert choice["message"]["content"] == "Wait."
    assert "".join(entry["token"] for entry in choice["logprobs"]["content"]) == "Wait."


async def test_a_client_that_reads_late_gets_the_same_calls_in_few_pieces(serve: Any) -> None:
    async with serve(says(TWO_CALLS)) as served:
        message = (await served.answer(tools=TOOLS))["choices"][0]["message"]
        chunks = await served.read_late(tools=TOOLS)
    assert without_ids(accumulated(chunks)) == without_ids(message)
    parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
    # What was on its way when the client stopped reading may have cut one piece in two.
    assert len(parts) <= 5


@pytest.mark.parametrize(
    "written",
    [
        "<parameter=",
        "<|tool_call|>",
        "<|tool|>",
        "functools[",
        "<tool_call>",
        "[TOOL_CALLS][ARGS]",
        "[TOOL_CALLS]",
        "<|python_tag|>",
        "<function=",
        "<|function_calls|>",
        "<functioncall>",
    ],
)
def test_every_dialect_that_a_models_facts_can_name_is_one_that_the_text_layer_reads(written: str) -> None:
    assert tool_dialect(f"{{{{ tools }}}}{written}", "llama") in DIALECTS


NAMED = {"type": "function", "function": {"name": "get_time"}}
WITH_FAULT = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"not": {"type": "null"}}}}},
}


@pytest.mark.parametrize("template", [TEMPLATE, TEMPLATE_WITH_TOOLS])
@pytest.mark.parametrize("answer", ["Hello", CALL, TWO_CALLS])
@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
async def test_where_a_call_must_be_there_is_one_whatever_the_model_wants_to_say(
    serve: Any, template: str, answer: str, choice: Any
) -> None:
    async with serve(says(answer), template=template, grammars=make_grammars()) as served:
        # Or else a model that is kept from what it wants to say thinks instead.
        request = {"tools": [STRICT_WEATHER, CLOCK], "tool_choice": choice, "reasoning_effort": "none"}
        given = (await served.answer(**request))["choices"][0]
    assert given["finish_reason"] == "tool_calls"
    assert given["message"]["content"] is None
    names = [call["function"]["name"] for call in given["message"]["tool_calls"]]
    assert set(names) <= {"get_weather", "get_time"}
    assert choice == "required" or names == ["get_time"]
    for call in given["message"]["tool_calls"]:
        assert set(json.loads(call["function"]["arguments"])) <= {"city"}


STRICT_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


async def test_reasoning_stands_in_front_of_a_call_that_must_be(serve: Any) -> None:
    async with serve(says(f"<think>Hm.</think>\n\n{CALL}"), grammars=make_grammars()) as served:
        message = (await served.answer(tools=TOOLS, tool_choice="required"))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", None)
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == json.loads(ARGUMENTS)


async def test_behind_a_marker_the_model_cannot_but_call(serve: Any) -> None:
    async with serve(says("Wait.<tool_call>nonsense"), grammars=make_grammars()) as served:
        given = (await served.answer(tools=[CLOCK]))["choices"][0]
    assert given["message"]["content"] == "Wait."
    assert [call["function"]["name"] for call in given["message"]["tool_calls"]] == ["get_time"]
    assert json.loads(given["message"]["tool_calls"][0]["function"]["arguments"]) == {}


async def test_markers_that_are_added_tokens_but_not_special_are_followed_too(serve: Any) -> None:
    """As in the Qwen 3 family."""
    grammars = make_grammars(plain=("<tool_call>", "</tool_call>", "<think>", "</think>"))
    async with serve(says(f"<think>Hm.</think>\n\n{TWO_CALLS}"), grammars=grammars) as served:
        for choice in ("auto", "required"):
            message = (await served.answer(tools=TOOLS, tool_choice=choice))["choices"][0]["message"]
            assert (message["reasoning_content"], message["content"]) == ("Hm.", None)
            assert [call["function"]["name"] for call in message["tool_calls"]] == ["get_weather", "get_time"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
async def test_where_a_call_must_be_there_is_no_content_wherever_the_limit_cuts(serve: Any, choice: Any) -> None:
    async with serve(says(CALL), grammars=make_grammars()) as served:
        for limit in (1, 2, 12, 20, 30, 45, 60, 75):
            request = {"tools": [WEATHER], "tool_choice": choice, "max_tokens": limit, "reasoning_effort": "none"}
            given = (await served.answer(**request))["choices"][0]
            assert not given["message"]["content"], limit


async def test_an_example_in_a_code_block_behind_words_is_content(serve: Any) -> None:
    text = 'Like this:\n```json\n{"name": "get_time", "arguments": {}}\n```\nYou see?'
    async with serve(says(text), grammars=make_grammars()) as served:
        given = (await served.answer(tools=[CLOCK]))["choices"][0]
    assert (given["message"]["content"], given["finish_reason"]) == (text, "stop")


async def test_text_without_a_call_stays_as_it_is(serve: Any) -> None:
    async with serve(says("Hello, {you} <tool"), grammars=make_grammars()) as served:
        given = (await served.answer(tools=TOOLS))["choices"][0]
    assert (given["message"]["content"], given["finish_reason"]) == ("Hello, {you} <tool", "stop")


def allowing(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


async def test_of_allowed_tools_the_others_are_not_shown_and_not_called(serve: Any) -> None:
    prompts: list[str] = []
    async with serve(recording(prompts, CALL), grammars=make_grammars()) as served:
        await served.answer(tools=TOOLS, tool_choice=allowing("auto", "get_time"))
        assert "get_time" in prompts[-1]
        assert "get_weather" not in prompts[-1]
        message = (await served.answer(tools=TOOLS, tool_choice=allowing("required", "get_weather")))["choices"][0]
    assert [call["function"]["name"] for call in message["message"]["tool_calls"]] == ["get_weather"]


@pytest.mark.parametrize(
    ("choice", "param", "code"),
    [
        (allowing("auto", "f"), "tool_choice.allowed_tools.tools[0].function.name", "invalid_value"),
        (allowing("none", "get_time"), "tool_choice.allowed_tools.mode", "unknown_value"),
        (allowing("auto"), "tool_choice.allowed_tools.tools", "invalid_value"),
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools", "missing_required_parameter"),
        ({"type": "function"}, "tool_choice.function", "missing_required_parameter"),
    ],
)
async def test_a_choice_that_is_none_is_told_by_what_is_wrong(serve: Any, choice: Any, param: str, code: str) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(tools=TOOLS, tool_choice=choice)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, code)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
async def test_parameters_that_cannot_be_enforced_are_refused_where_a_call_must_be(serve: Any, choice: Any) -> None:
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(tools=[CLOCK, WITH_FAULT], tool_choice=choice)
    assert (reply.status, reply.error["param"]) == (400, "tools[1].function.parameters")
    assert "at `/properties/a`" in reply.error["message"]


async def test_parameters_that_cannot_be_enforced_are_refused_of_strict_functions(serve: Any) -> None:
    strict = {"type": "function", "function": {**WITH_FAULT["function"], "strict": True}}  # type: ignore[dict-item]
    async with serve(grammars=make_grammars()) as served:
        reply = await served.chat(tools=[strict])
    assert (reply.status, reply.error["param"]) == (400, "tools[0].function.parameters")


@pytest.mark.parametrize(
    "parameters", [{"properties": {"a": {"not": {"type": "null"}}}}, {"properties": {"a": {"type": "wizard"}}}]
)
async def test_where_the_model_need_not_call_parameters_are_enforced_as_far_as_they_can(
    serve: Any, parameters: dict[str, Any]
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    async with serve(says(call), grammars=make_grammars()) as served:
        message = (await served.answer(tools=[tool]))["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"a": 1}


NO_OBJECTS = [
    {"type": "array"},
    {"type": "string"},
    {"type": ["null", "integer"]},
    {"type": "object", "anyOf": [{"type": "string"}]},
]


@pytest.mark.parametrize("parameters", NO_OBJECTS)
async def test_parameters_that_are_no_object_are_refused_where_a_call_must_be(serve: Any, parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    async with serve(grammars=make_grammars()) as served:
        for choice in ("required", {"type": "function", "function": {"name": "f"}}):
            reply = await served.chat(tools=[CLOCK, tool], tool_choice=choice)
            assert (reply.status, reply.error["param"]) == (400, "tools[1].function.parameters")
            assert reply.error["code"] == "invalid_schema"
        assert (await served.answer(tools=[CLOCK, tool]))["choices"][0]["message"]["content"] == "Hello"


async def test_parameters_that_may_be_an_object_are_one(serve: Any) -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": ["null", "object"], "maxProperties": 0}},
    }
    async with serve(says("null"), grammars=make_grammars()) as served:
        answer = await served.answer(tools=[tool], tool_choice="required", reasoning_effort="none")
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert {call["function"]["arguments"] for call in calls} == {"{}"}


async def test_a_model_that_cannot_be_held_to_grammars_refuses_a_call_that_must_be(serve: Any) -> None:
    async with serve() as served:
        reply = await served.chat(tools=TOOLS, tool_choice="required")
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "tool_choice", "unsupported_value")


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt"])
async def test_template_variables_cannot_replace_what_the_request_says(serve: Any, name: str) -> None:
    async with serve() as served:
        reply = await served.chat(chat_template_kwargs={name: []})
    assert (reply.status, reply.error["param"]) == (400, "chat_template_kwargs")


async def test_the_same_tools_make_the_same_prompt_however_a_client_writes_them(serve: Any) -> None:
    parameters = {"type": "object", "properties": {"x": {"type": "integer"}}}
    plain = {"type": "function", "function": {"name": "f", "description": "F.", "parameters": parameters}}
    other = {
        "id": 7,
        "function": {"parameters": parameters, "strict": True, "name": "f", "description": "F."},
        "type": "function",
    }
    async with serve(template=PRINTS_TOOLS) as served:
        prompts = [
            (await served.post("/v1/tokenize", messages=served.user, tools=[tool], return_token_strs=True)).json()
            for tool in (plain, other)
        ]
    assert "F." in "".join(prompts[0]["token_strs"])
    assert prompts[0] == prompts[1]


PRINTS_TOOLS = "{{ tools | tojson }}{% for message in messages %}{{ message.content }}{% endfor %}"
