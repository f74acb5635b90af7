"""Messages in the one form that prompts are made from."""

from typing import Any

import pytest

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.messages import PlainMessage, plain_messages


def call(call_id: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def plain(messages: list[dict[str, Any]]) -> list[PlainMessage]:
    return plain_messages(parse_chat_request({"messages": messages}).conversation.messages)


def test_a_string_stays_as_it_is() -> None:
    assert plain([{"role": "user", "content": "Hi"}]) == [{"role": "user", "content": "Hi"}]


def test_text_parts_become_one_string_a_line_each() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert plain([{"role": "user", "content": parts}])[0]["content"] == "one\ntwo"


def test_the_role_developer_is_what_templates_call_system() -> None:
    assert plain([{"role": "developer", "content": "Be brief."}])[0]["role"] == "system"


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"tool_calls": [call()]}, ""),
        ({"content": "", "refusal": "No."}, "No."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
    ],
)
def test_content_is_always_a_string_since_prompts_print_it(message: dict[str, Any], content: str) -> None:
    assert plain([{"role": "assistant", **message}])[0]["content"] == content


@pytest.mark.parametrize("arguments", ["", " ", "\n", "null", " null\n", "{}"])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    messages = plain([{"role": "assistant", "tool_calls": [call(arguments=arguments)]}])
    assert messages[0]["tool_calls"][0]["function"]["arguments"] == {}


@pytest.mark.parametrize("arguments", [{}, {"arguments": None}])
def test_missing_arguments_are_an_empty_object(arguments: dict[str, Any]) -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", **arguments}}]
    assert plain([{"role": "assistant", "tool_calls": calls}])[0]["tool_calls"][0]["function"]["arguments"] == {}


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "2+2"},
        {"reasoning": "2+2"},
        {"reasoning_content": "2+2", "reasoning": "two and two"},
        {"reasoning_content": "", "reasoning": "2+2"},
    ],
)
def test_reasoning_comes_back_under_both_of_its_names(thought: dict[str, str]) -> None:
    (message,) = plain([{"role": "assistant", "content": "4", **thought}])
    assert message == {"role": "assistant", "content": "4", "reasoning_content": "2+2"}


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [], "content": "4"},
        {"tool_calls": []},
        {"tool_calls": [], "content": None},
        {"content": ""},
        {"content": None, "reasoning": "Hm."},
    ],
)
def test_an_answer_without_calls_or_without_content_comes_back(message: dict[str, Any]) -> None:
    (answer,) = plain([{"role": "assistant", **message}])
    assert "tool_calls" not in answer
    assert answer["content"] == (message.get("content") or "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [('{"city": "Paris"}', {"city": "Paris"}), ("[1]", "[1]"), ("{broken", "{broken"), ("[" * 50_000, "[" * 50_000)],
)
def test_arguments_are_an_object_where_they_are_one(arguments: str, expected: object) -> None:
    messages = plain([{"role": "assistant", "tool_calls": [call(arguments=arguments)]}])
    assert messages[0]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": expected}}
    ]


def test_a_tools_answer_has_the_name_of_the_function_that_was_called() -> None:
    messages = plain(
        [
            {"role": "assistant", "tool_calls": [call("call_7")]},
            {"role": "tool", "tool_call_id": "call_7", "content": "Sunny"},
            {"role": "tool", "tool_call_id": "call_7", "content": "Sunny", "name": "weather"},
            {"role": "tool", "tool_call_id": "call_8", "content": "?"},
        ]
    )
    assert [message.get("name") for message in messages[1:]] == ["get_weather", "weather", None]
    assert messages[1]["tool_call_id"] == "call_7"


def test_reasoning_and_names_reach_the_prompt_and_nothing_unknown_does() -> None:
    message = {"role": "assistant", "content": "4", "reasoning_content": "2+2", "name": "Bob", "annotations": []}
    assert plain([message]) == [{"role": "assistant", "content": "4", "name": "Bob", "reasoning_content": "2+2"}]


def test_an_assistant_may_refuse_or_call_without_content() -> None:
    assert plain([{"role": "assistant", "refusal": "No."}, {"role": "assistant", "tool_calls": [call()]}])
