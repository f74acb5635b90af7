import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decoders import ByteDecoder

from obeaver.text.events import Answer, ContentDelta, ReasoningDelta, TextEvent, join_events
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.text_stream import TextStream, random_call_id
from obeaver.text.tool_spec import ToolSpec

THINK = ThinkMarkers("<think>", "</think>")
END = 256
OPEN_THINK = 257
CLOSE_THINK = 258


def run(stream: TextStream, ids: Iterable[int]) -> list[TextEvent]:
    return [event for token_id in ids for event in stream.push(token_id)] + stream.finish()


def answer(
    text: str, *, stop: Sequence[str] = (), think: ThinkMarkers | None = None, think_open: bool = False
) -> Answer:
    return join_events(run(TextStream(ByteDecoder(), stop=stop, think=think, think_open=think_open), text.encode()))


def test_characters_arrive_whole() -> None:
    events = run(TextStream(ByteDecoder()), "né 🦫".encode())

    assert events == [ContentDelta(char) for char in "né 🦫"]


def test_an_unfinished_character_at_the_end_is_replaced() -> None:
    stream = TextStream(ByteDecoder())

    assert run(stream, "a🦫".encode()[:-1]) == [ContentDelta("a"), ContentDelta("\N{REPLACEMENT CHARACTER}")]


def test_end_ids_and_control_tokens_have_no_text() -> None:
    stream = TextStream(ByteDecoder(), end_ids={END, ord("!")})

    assert join_events(run(stream, [*b"a!b", OPEN_THINK, *b"c", END])).content == "abc"


def test_a_stop_string_ends_the_answer() -> None:
    stream = TextStream(ByteDecoder(), stop=["\n\n", "User:"])
    texts = [join_events(stream.push(byte)).content for byte in b"Hi\nUser: x"]

    assert texts == ["H", "i", "", "\n", "", "", "", "", "", ""]
    assert stream.stopped
    assert stream.finish() == []


def test_a_held_back_beginning_is_given_out_at_the_end() -> None:
    stream = TextStream(ByteDecoder(), stop=["User:"])

    assert join_events(run(stream, b"Use")).content == "Use"
    assert not stream.stopped


@pytest.mark.parametrize(
    ("text", "content", "reasoning"),
    [
        ("<think>\nWhy?\n</think>\n\nSo.", "So.", "Why?"),
        ("<think>\n\n</think>\n\nSo.", "So.", ""),
        ("\n<think>Why?</think>So.\n", "So.\n", "Why?"),
        ("<think>Why? \n Because", "", "Why? \n Because"),
        ("<think>a</thin", "", "a</thin"),
        ("<thi", "<thi", ""),
        ("<think>a</think> ", "", "a"),
        ("One\n<think>a</think>\nTwo", "One\nTwo", "a"),
        ("<think>a</think><think> </think><think>b</think>c", "c", "a\n\nb"),
        ("<think>a <think> b</think>c", "c", "a <think> b"),
        ("a </think> b", "a </think> b", ""),
        ("</think>\n\na </think> b", "a </think> b", ""),
        ("<think>a</think></think>b", "</think>b", "a"),
        (" plain \n", " plain \n", ""),
    ],
)
def test_reasoning_is_told_from_content(text: str, content: str, reasoning: str) -> None:
    assert answer(text, think=THINK) == Answer(content, reasoning)


@pytest.mark.parametrize("text", ["Why?\n</think>\n\nSo.", "<think>\nWhy?\n</think>\n\nSo."])
def test_a_prompt_may_have_opened_the_reasoning(text: str) -> None:
    assert answer(text, think=THINK, think_open=True) == Answer("So.", "Why?")


def test_without_markers_reasoning_is_text() -> None:
    assert answer("<think>a</think>b") == Answer("<think>a</think>b")


def test_markers_may_be_control_tokens() -> None:
    markers = {OPEN_THINK: THINK.open, CLOSE_THINK: THINK.close}
    stream = TextStream(ByteDecoder(), think=THINK, marker_text=markers)
    broken = "é".encode()[:1]

    events = run(stream, [OPEN_THINK, *broken, CLOSE_THINK, *b"ok"])

    assert events == [ReasoningDelta("\N{REPLACEMENT CHARACTER}"), ContentDelta("o"), ContentDelta("k")]


def test_tokens_of_reasoning_are_counted_with_their_markers() -> None:
    markers = {OPEN_THINK: THINK.open, CLOSE_THINK: THINK.close}
    stream = TextStream(ByteDecoder(), think=THINK, marker_text=markers)

    run(stream, [OPEN_THINK, *b"why", CLOSE_THINK, *b"so"])

    assert stream.num_reasoning_tokens == 5


def test_reasoning_that_the_prompt_opened_is_counted() -> None:
    stream = TextStream(ByteDecoder(), think=THINK, marker_text={CLOSE_THINK: THINK.close}, think_open=True)

    run(stream, [*b"why", CLOSE_THINK, *b"so"])

    assert stream.num_reasoning_tokens == 4


def test_reasoning_and_calls_keep_out_of_each_other() -> None:
    text = """<think>\nI might <tool_call>{"name": "f"}</tool_call>\n</think>\n
        <tool_call>{"name": "f", "arguments": {"a": "<think>b</think>"}}</tool_call>"""
    stream = TextStream(ByteDecoder(), think=THINK, tool_dialect="hermes", tools=[ToolSpec("f")])
    told = join_events(run(stream, text.encode()))

    assert told.reasoning == 'I might <tool_call>{"name": "f"}</tool_call>'
    assert [(call.name, call.arguments) for call in told.tool_calls] == [("f", '{"a": "<think>b</think>"}')]
    assert told.content == ""


def test_markers_of_calls_may_be_control_tokens() -> None:
    markers = {300: "[TOOL_CALLS]", 301: "[ARGS]"}
    stream = TextStream(ByteDecoder(), marker_text=markers, tool_dialect="mistral", tools=[ToolSpec("f")])

    (call,) = join_events(run(stream, [300, *b"f", 301, *b'{"a": 1}', END])).tool_calls

    assert (call.name, call.arguments) == ("f", '{"a": 1}')


def test_stop_strings_are_sought_in_content_alone() -> None:
    assert answer("<think>a\nb</think>\nc\nd", stop=["\n"], think=THINK) == Answer("c", "a\nb")


def test_white_space_in_front_of_a_stop_string_is_delivered() -> None:
    assert answer("a \nEND", stop=["END"], think=THINK) == Answer("a \n")


def test_content_does_not_wait_for_what_cannot_matter() -> None:
    stream = TextStream(ByteDecoder(), stop=["END"], think=THINK)

    assert list(accumulate(join_events(stream.push(byte)).content for byte in b"a <b> c"))[-1] == "a <b> c"


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<thi", "nk>", " ", "\n", "a", "é", "END", "EN"]))


@given(PIECES, st.booleans())
def test_one_token_or_many_make_the_same_answer(pieces: list[str], think_open: bool) -> None:
    text = "".join(pieces)
    whole = TextStream(
        ByteDecoder(), stop=["END"], think=THINK, think_open=think_open, marker_text=dict(enumerate([text], start=300))
    )

    assert answer(text, stop=["END"], think=THINK, think_open=think_open) == join_events(run(whole, [300]))


@given(PIECES)
def test_no_stop_string_stands_in_the_content(pieces: list[str]) -> None:
    assert "END" not in answer("".join(pieces), stop=["END"], think=THINK).content


@given(PIECES)
def test_no_character_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    told = answer(text, think=THINK)

    assert Counter(re.findall("[aéEND]", told.content + told.reasoning)) == Counter(re.findall("[aéEND]", text))


def test_ids_of_calls_come_from_the_given_randomness() -> None:
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", random_call_id(random.Random(7)))
    assert random_call_id(random.Random(7)) == random_call_id(random.Random(7))
    assert random_call_id(random.Random(7)) != random_call_id(random.Random(8))
