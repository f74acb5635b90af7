import json
from typing import Any

import pytest
from support.decoders import events_of

from obeaver.text.events import join_events
from obeaver.text.needs.tool_prompt import instruction, tell_calls, tell_results, with_system
from obeaver.text.tool_calls.dialects import DEFAULT_DIALECT, DIALECTS
from obeaver.text.tool_spec import ToolChoice, ToolSpec

WEATHER = ToolSpec("get_weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
TIME = ToolSpec("get_time")
AUTO = ToolChoice("auto")
USER = {"role": "user", "content": "Weather in Paris?"}


def call(call_id: str, name: str, arguments: object) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


CALLS = {
    "role": "assistant",
    "content": "",
    "tool_calls": [call("call_a", "get_weather", {"city": "Paris"}), call("call_b", "get_time", {})],
}
RESULTS: list[dict[str, Any]] = [
    {"role": "tool", "tool_call_id": "call_a", "name": "get_weather", "content": "18 °C"},
    {"role": "tool", "tool_call_id": "call_b", "name": "get_time", "content": "12:00"},
]


def describe_tools(
    messages: list[dict[str, Any]],
    tools: list[ToolSpec],
    *,
    choice: ToolChoice,
    parallel: bool = True,
    dialect: str = DEFAULT_DIALECT,
) -> list[dict[str, Any]]:
    """Everything in words."""
    form = DIALECTS[dialect].format
    told = tell_results(tell_calls(messages, form))
    return [dict(message) for message in with_system(told, instruction(tools, choice, form, parallel=parallel))]


def test_functions_are_described_in_a_new_system_message() -> None:
    system, user = describe_tools([USER], [WEATHER, TIME], choice=AUTO)

    assert system["role"] == "system"
    assert user == USER
    described = system["content"].split("<tools>\n")[1].split("\n</tools>")[0].splitlines()
    assert [json.loads(line) for line in described] == [
        {"name": "get_weather", "description": "Tells the weather.", "parameters": WEATHER.parameters},
        {"name": "get_time", "description": "", "parameters": {}},
    ]


def test_functions_are_described_behind_the_system_message() -> None:
    system, user = describe_tools([{"role": "system", "content": "Be kind."}, USER], [TIME], choice=AUTO)

    assert system["role"] == "system"
    assert system["content"].startswith("Be kind.\n\nYou can call functions.")
    assert user == USER


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_form_that_is_asked_for_is_the_one_that_is_read(dialect: str) -> None:
    system, _ = describe_tools([USER], [TIME], choice=AUTO, dialect=dialect)
    form = system["content"].split("exactly this form:\n")[1].split("\n\nTo call two")[0]

    told = join_events(events_of([form], tool_dialect=dialect, tools=[ToolSpec("function-name")]))
    assert json.loads(told.tool_calls[0].arguments) == {"argument-name": "value"}


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (AUTO, "Where no function is needed, answer in plain words."),
        (ToolChoice("required"), "Answer with a function call, and nothing else."),
        (ToolChoice("function", "get_time"), "Answer with a call of get_time, and nothing else."),
    ],
)
def test_the_choice_is_put_into_words(choice: ToolChoice, words: str) -> None:
    assert describe_tools([USER], [TIME], choice=choice)[0]["content"].endswith(words)


def test_without_parallel_calls_one_is_asked_for() -> None:
    content = describe_tools([USER], [TIME], choice=AUTO, parallel=False)[0]["content"]

    assert "Call one function at a time." in content
    assert "To call two" not in content


@pytest.mark.parametrize(("tools", "choice"), [([TIME], ToolChoice("none")), ([], AUTO)])
def test_where_nothing_may_be_called_nothing_is_described(tools: list[ToolSpec], choice: ToolChoice) -> None:
    assert describe_tools([USER], tools, choice=choice) == [USER]


def test_calls_become_text_of_the_dialect_and_results_one_message_of_the_user() -> None:
    told = describe_tools([USER, CALLS, *RESULTS], [], choice=AUTO)

    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert told[1] == {
        "role": "assistant",
        "content": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>',
    }
    assert told[2]["content"] == (
        '<tool_response>\n{"tool_call_id": "call_a", "name": "get_weather", "content": "18 °C"}\n</tool_response>\n'
        '<tool_response>\n{"tool_call_id": "call_b", "name": "get_time", "content": "12:00"}\n</tool_response>'
    )


def test_text_beside_calls_stays_in_front_of_them() -> None:
    (told,) = describe_tools([{**CALLS, "content": "Let me look."}], [], choice=AUTO, dialect="mistral")

    assert told["content"] == 'Let me look.\n[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}'


def test_arguments_that_are_no_object_are_shown_inside_one() -> None:
    broken = {"role": "assistant", "content": "", "tool_calls": [call("call_a", "f", "not json")]}
    (told,) = describe_tools([broken], [], choice=AUTO, dialect="json")

    assert json.loads(told["content"]) == {"name": "f", "arguments": {"arguments": "not json"}}


def test_a_result_of_an_unknown_call_has_no_name() -> None:
    (told,) = describe_tools([{"role": "tool", "tool_call_id": "call_c", "content": "?"}], [], choice=AUTO)

    assert '"name": null' in told["content"]


def test_given_messages_are_never_changed() -> None:
    before = json.dumps([CALLS, *RESULTS])

    describe_tools([CALLS, *RESULTS], [TIME], choice=AUTO)

    assert json.dumps([CALLS, *RESULTS]) == before
