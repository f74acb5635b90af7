"""Markers are text where an answer's form has begun, and what is cut inside of calls is never content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decoders import PieceDecoder, events_of

from obeaver.text.answer_reader import Expected
from obeaver.text.events import Answer, join_events
from obeaver.text.reasoning import ThinkMarkers
from obeaver.text.stop_strings import stop_tokens
from obeaver.text.text_stream import TextStream
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

THINK = ThinkMarkers("<think>", "</think>")
TOOLS = [
    ToolSpec(
        "get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    )
]
ARGUMENTS = json.dumps({"city": "Paris", "days": 3})


def read(pieces: list[str], **options: object) -> Answer:
    return join_events(events_of(pieces, new_call_id=lambda: "id", **options))


def read_all_ways(text: str, **options: object) -> Answer:
    """The answer, which is the same whole, letter by letter, and in two pieces whatever the place of the cut."""
    whole = read([text], **options)
    assert read(list(text), **options) == whole
    for place in range(1, len(text)):
        assert read([text[:place], text[place:]], **options) == whole
    return whole


FORMS = [
    '{"note": "<think>not a thought</think>"}',
    '{"call": "<tool_call>{\\"name\\": \\"get_weather\\", \\"arguments\\": {}}</tool_call>"}',
    '[\n{"name": "get_weather", "arguments": {}}\n]',
    '{\n"calls": [\n{"name": "get_weather", "arguments": {"city": "Paris"}}]}',
    'x<think>y</think>',
    "yes\n<think>",
    "yes [TOOL_CALLS]get_weather[ARGS]{}",
    '"```json\\n{}"\n```json\n{"name": "get_weather", "arguments": {}}\n```',
    " \n<tool_call>",
    "a\n",
    "<thi",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMS)
@pytest.mark.parametrize("dialect", ["hermes", "qwen3_coder", "mistral", "phi", "functioncall"])
def test_a_form_is_content_from_its_first_character_on(text: str, dialect: str) -> None:
    options = {"expected": Expected.FORM, "tool_dialect": dialect, "tools": TOOLS}
    assert read_all_ways(text, think=THINK, **options) == Answer(text)
    assert read_all_ways(text, think=None, **options) == Answer(text)


@pytest.mark.parametrize("text", ["<think>yes</think>no", "</think>", "<think>"])
def test_where_there_are_no_thoughts_a_form_may_begin_with_their_marker(text: str) -> None:
    assert read_all_ways(text, expected=Expected.FORM, think=None) == Answer(text)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('<think>Hm.</think>\n\n{"a": "<think>b</think>"}', '{"a": "<think>b</think>"}'),
        ("<think>Hm.</think>yes", "yes"),
        ("<think>Hm.</think>\n  yes \n", "  yes \n"),
        ("<think>Hm.</think>\n\n\n yes", "\n yes"),
        ("<think>Hm.</think><think>yes", "<think>yes"),
    ],
)
@pytest.mark.parametrize("prompt_opens", [False, True])
def test_thoughts_in_front_of_a_form_are_no_part_of_it(text: str, content: str, prompt_opens: bool) -> None:
    text = text.removeprefix("<think>") if prompt_opens else text
    told = read_all_ways(text, expected=Expected.FORM, think=THINK, think_open=prompt_opens)
    assert told == Answer(content, "Hm.")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("num_calls", [1, 2, 3])
def test_calls_in_place_of_a_form_are_calls(dialect: str, num_calls: int) -> None:
    text = DIALECTS[dialect].format.write([("get_weather", ARGUMENTS)] * num_calls)
    told = read_all_ways(text, expected=Expected.FORM, tool_dialect=dialect, tools=TOOLS)
    assert [(call.name, json.loads(call.arguments)) for call in told.tool_calls] == [
        ("get_weather", json.loads(ARGUMENTS))
    ] * num_calls
    assert told.content == ""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_calls_in_place_of_a_form_leave_no_content_wherever_they_are_cut(dialect: str) -> None:
    text = DIALECTS[dialect].format.write([("get_weather", ARGUMENTS)] * 3)
    for end in range(len(text) + 1):
        told = read(list(text[:end]), expected=Expected.FORM, tool_dialect=dialect, tools=TOOLS)
        assert not (told.tool_calls and told.content)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<tool_call>", "```json\n", "{", "}", '"', "\n", " ", "a"])))
def test_any_text_is_content_behind_a_letter_of_a_form(pieces: list[str]) -> None:
    text = "a" + "".join(pieces)
    options = {"expected": Expected.FORM, "think": THINK, "tool_dialect": "hermes", "tools": TOOLS}
    assert read(["a", *pieces], **options) == read([text], **options) == Answer(text)


# Thinking that is switched off.


@pytest.mark.parametrize(
    ("text", "content", "reasoning"),
    [
        ("Use <think> to think.", "Use <think> to think.", ""),
        ("Write <think>a</think>.", "Write <think>a</think>.", ""),
        ("<think>\n\n</think>\n\nSo.", "So.", ""),
        ("\n<think>a</think>So: <think>", "So: <think>", "a"),
        ("<thi", "<thi", ""),
    ],
)
def test_with_thinking_off_markers_count_in_front_of_the_text_only(text: str, content: str, reasoning: str) -> None:
    assert read_all_ways(text, think=THINK, thinks_again=False) == Answer(content, reasoning)


# Answers that must be calls.


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("num_calls", [1, 2])
@pytest.mark.parametrize("before", ["", "<think>Hm.</think>\n\n"])
def test_a_call_that_must_be_leaves_no_content_wherever_it_is_cut(dialect: str, num_calls: int, before: str) -> None:
    channels = DIALECTS[dialect].channels
    between = channels.between if before and channels and not channels.has_headers else ""
    text = before + between + DIALECTS[dialect].format.write([("get_weather", ARGUMENTS)] * num_calls)
    for end in range(len(text) + 1):
        told = read(list(text[:end]), think=THINK, expected=Expected.CALLS, tool_dialect=dialect, tools=TOOLS)
        assert told.content == "", text[:end]
        assert told == read([text[:end]], think=THINK, expected=Expected.CALLS, tool_dialect=dialect, tools=TOOLS)
    assert len(told.tool_calls) == num_calls


@pytest.mark.parametrize(
    "end", ["<parameter=ci", "<parameter=city>\nPar", "<parameter=days>\n3", "<parameter=days>\n3\n</par"]
)
def test_what_is_cut_inside_of_a_call_is_no_content_where_the_model_was_free_either(end: str) -> None:
    text = f"<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n{end}"
    told = read_all_ways(text, tool_dialect="qwen3_coder", tools=TOOLS)
    assert (told.content, told.tool_calls[0].name) == ("", "get_weather")


# Examples of calls.

EXAMPLE = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


@pytest.mark.parametrize(
    "dialect", ["hermes", "qwen3_coder", "mistral", "mistral_list", "phi", "functools", "functioncall"]
)
@pytest.mark.parametrize("example", [f"```json\n{EXAMPLE}\n```", EXAMPLE, f"[{EXAMPLE}]", f"```\n{EXAMPLE}\n```"])
def test_behind_words_a_call_without_a_marker_is_an_example(dialect: str, example: str) -> None:
    text = f"You call it like this:\n\n{example}\nand so on"
    assert read_all_ways(text, tool_dialect=dialect, tools=TOOLS) == Answer(text)


@pytest.mark.parametrize(
    "text", [f"```json\n{EXAMPLE}\n```", EXAMPLE, f"\n{EXAMPLE}", f"<think>Hm.</think>\n{EXAMPLE}"]
)
def test_in_front_of_all_words_a_call_without_a_marker_is_a_call(text: str) -> None:
    told = read_all_ways(text, think=THINK, tool_dialect="hermes", tools=TOOLS)
    assert (told.content, [call.name for call in told.tool_calls]) == ("", ["get_weather"])


def test_a_call_with_its_marker_is_a_call_behind_words_too() -> None:
    told = read_all_ways(f"Let me look.\n<tool_call>{EXAMPLE}</tool_call>", tool_dialect="hermes", tools=TOOLS)
    assert (told.content, len(told.tool_calls)) == ("Let me look.", 1)


@pytest.mark.parametrize("dialect", ["llama3", "json", "json_block"])
def test_a_dialect_without_a_marker_calls_behind_words(dialect: str) -> None:
    text = f"Let me look.\n{DIALECTS[dialect].format.write([('get_weather', ARGUMENTS)])}"
    told = read_all_ways(text, tool_dialect=dialect, tools=TOOLS)
    assert (told.content, len(told.tool_calls)) == ("Let me look.", 1)


# Control tokens as stop strings.

CONTROL = {"<|im_start|>": 900, "<|im_end|>": 901, "<think>": 902, "</think>": 903}


def stopped(stop: list[str], *tokens: str, **options: object) -> tuple[Answer, bool, int]:
    """The answer, whether it was stopped, and how many tokens were read until then."""
    stream = TextStream(
        PieceDecoder(tokens),
        stop=stop,
        stop_tokens=stop_tokens(stop, CONTROL),
        new_call_id=lambda: "id",
        **options,  # type: ignore[arg-type]
    )
    events, num_read = [], 0
    for place, token in enumerate(tokens):
        if stream.stopped:
            break
        events += stream.push(CONTROL.get(token, place))
        num_read += 1
    return join_events(events + stream.finish()), stream.stopped, num_read


@pytest.mark.parametrize(
    ("stop", "tokens", "content", "num_read"),
    [
        (["<|im_start|>"], ["a", "<|im_start|>", "b"], "a", 2),
        (["<|im_start|>"], ["<|im_start|>"], "", 1),
        (["<|im_start|>"], ["a", "<|im_", "start|>", "b"], "a", 3),
        (["<|im_end|>", "x"], ["a", "<|im_start|>", "x", "b"], "a", 3),
        (["<|im_start|>user"], ["a", "<|im_start|>", "us", "er", "b"], "a", 4),
        (["<|im_end|>\n<|im_start|>"], ["a", "<|im_end|>", "\n", "<|im_start|>", "b"], "a", 4),
        (["User:"], ["a ", "Us", "<|im_start|>", "er:"], "a ", 4),
        (["<|im_start|>user"], ["a", "<|im_start|>", "use", "less"], "auseless", None),
        (["<|im_start|>user"], ["a", "<|im_start|>", "<|im_start|>", "user", "b"], "a", 4),
        (["a<|im_start|>"], ["b", "a", "<|im_start|>", "c"], "b", 3),
        (["STOP"], ["a", "<|im_start|>", "ST", "OP", "b"], "a", 4),
    ],
)  # fmt: skip
def test_a_control_token_in_a_stop_string_stops_there(
    stop: list[str], tokens: list[str], content: str, num_read: int | None
) -> None:
    told, is_stopped, read_tokens = stopped(stop, *tokens)
    assert (told.content, is_stopped) == (content, num_read is not None)
    assert read_tokens == (num_read or len(tokens))


def test_a_control_token_stops_within_thoughts_and_calls_too() -> None:
    told, is_stopped, _ = stopped(
        ["<|im_end|>"], "<think>", "Hm", "<|im_end|>", "x", think=THINK, marker_text={902: "<think>"}
    )
    assert (told, is_stopped) == (Answer("", "Hm"), True)
    call = ["<tool_call>", '{"name": "get_weather", "arguments": {"city": ', "<|im_end|>", "x"]
    told, is_stopped, _ = stopped(["<|im_end|>"], *call, tool_dialect="hermes", tools=TOOLS)
    assert (told.content, told.tool_calls[0].arguments, is_stopped) == ("", '{"city": ', True)


def test_the_stop_string_that_a_control_token_spells_is_told() -> None:
    stream = TextStream(PieceDecoder(["a"]), stop=["x", "<|im_end|>"], stop_tokens=stop_tokens(["<|im_end|>"], CONTROL))
    stream.push(0)
    stream.push(901)
    assert stream.stop_string == "<|im_end|>"


def test_what_was_held_back_in_front_of_a_control_token_is_text() -> None:
    told, is_stopped, _ = stopped(["<|im_end|>", "\n\n"], "a", "\n", "<|im_end|>")
    assert (told.content, is_stopped) == ("a\n", True)
    told, is_stopped, _ = stopped(["<|im_end|>"], "a <tool", "<|im_end|>", tool_dialect="hermes", tools=TOOLS)
    assert (told.content, is_stopped) == ("a <tool", True)
