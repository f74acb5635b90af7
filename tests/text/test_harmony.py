"""gpt-oss' messages and channels, whole and cut at every place."""

import pytest
from support.decoders import events_of

from obeaver.text.events import Answer, join_events
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

TOOLS = [ToolSpec("get_time"), ToolSpec("a.b")]
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant"


def read(pieces: list[str], tools: list[ToolSpec], *, think_open: bool = False) -> Answer:
    return join_events(
        events_of(pieces, tool_dialect="harmony", tools=tools, think_open=think_open, new_call_id=lambda: "id")
    )


@pytest.mark.parametrize(
    ("text", "content", "reasoning", "calls"),
    [
        (f"{ANALYSIS}Hm.{NEXT}{FINAL}Hello.<|return|>", "Hello.", "Hm.", []),
        (f"{FINAL}Hello, {{world}}.", "Hello, {world}.", "", []),
        ("<|channel|>final <|constrain|>json<|message|>{}", "{}", "", []),
        (f"{ANALYSIS}One.{NEXT}{ANALYSIS}Two.{NEXT}{FINAL}Three.", "Three.", "One.\n\nTwo.", []),
        (f"<|channel|>commentary to=assistant{ANALYSIS}Hm.{NEXT}{FINAL}Hi", "Hi", "Hm.", []),
        (f"{ANALYSIS}never closed", "", "never closed", []),
        ("Plain words, and <|channel|> no more", "Plain words, and <|channel|> no more", "", []),
        ("", "", "", []),
        ("<|chan", "<|chan", "", []),
        # Without the tokens.
        ("analysisHm.assistantfinalHello.", "Hello.", "Hm.", []),
        ("finalThe final word of an assistantfinal.", "The final word of an assistantfinal.", "", []),
        ("commentaryI will look.assistantfinalSo.", "I will look.So.", "", []),
        ('commentary to=functions.get_time json{"z": 1}', "", "", [("get_time", '{"z": 1}')]),
        # Calls.
        ("<|channel|>commentary to=functions.get_time<|message|><|call|>", "", "", [("get_time", "")]),
        ("<|channel|>commentary to=functions.a.b<|message|>{}<|call|>", "", "", [("a.b", "{}")]),
        (
            '<|channel|>commentary to=functions.get_time<|message|>{"a": "<|end|>"}<|call|>',
            "",
            "",
            [("get_time", '{"a": "<|end|>"}')],
        ),
        ("<|channel|>commentary to=functions.get_time code<|message|>now()<|call|>", "", "", [("get_time", "now()")]),
        (
            "<|channel|>commentary to=functions.rm<|message|>{}<|call|>",
            "<|channel|>commentary to=functions.rm<|message|>{}",
            "",
            [],
        ),
    ],
)
def test_messages_go_where_their_headers_say(
    text: str, content: str, reasoning: str, calls: list[tuple[str, str]]
) -> None:
    for pieces in ([text], list(text), *([text[:place], text[place:]] for place in range(1, len(text)))):
        told = read(pieces, TOOLS)
        assert (told.content, told.reasoning) == (content, reasoning)
        assert [(call.name, call.arguments) for call in told.tool_calls] == calls


def test_channels_are_known_where_nothing_may_be_called() -> None:
    assert read([f"{ANALYSIS}Hm.{NEXT}{FINAL}Hi."], []) == Answer("Hi.", "Hm.")


def test_a_prompt_may_have_opened_the_reasoning() -> None:
    assert read([f"Hm.{NEXT}{FINAL}Hi."], [], think_open=True) == Answer("Hi.", "Hm.")


def test_what_it_writes_it_reads_behind_thoughts() -> None:
    written = DIALECTS["harmony"].format.write([("get_time", '{"a": 1}'), ("a.b", "{}")])
    told = read(list(f"{ANALYSIS}Hm.{NEXT}{written}"), TOOLS)
    assert [(call.name, call.arguments) for call in told.tool_calls] == [("get_time", '{"a": 1}'), ("a.b", "{}")]
    assert (told.content, told.reasoning) == ("", "Hm.")
