"""Recorded shapes of model output, one table for all dialects, each cut at every position."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decoders import PieceDecoder, events_of

from obeaver.text.events import Answer, TextEvent, ToolCallArguments, ToolCallStart, join_events
from obeaver.text.text_stream import TextStream
from obeaver.text.tool_calls.dialects import DIALECTS
from obeaver.text.tool_spec import ToolSpec

WEATHER = ToolSpec("get_weather", parameters={"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}})
TIME = ToolSpec("get_time")
TOOLS = [WEATHER, TIME]

Call = tuple[str, str]
PARIS = ("get_weather", '{"city": "Paris"}')
TRICKY_JSON = r'{"city": "São \"P\" \\ }]{[</tool_call> \u00e9\ud83e\uddab", "nested": {"a": [1, {"b": null}]}}'
TRICKY = ("get_weather", TRICKY_JSON)
NOW = ("get_time", "{}")


def numbers() -> Iterator[str]:
    yield from map("call_{}".format, range(1000))


def read(dialect: str, pieces: list[str], *, parallel: bool = True) -> list[TextEvent]:
    return events_of(
        pieces,
        tool_dialect=dialect,
        tools=TOOLS,
        parallel_tool_calls=parallel,
        new_call_id=numbers().__next__,
    )


def answer(dialect: str, pieces: list[str], *, parallel: bool = True) -> Answer:
    return join_events(read(dialect, pieces, parallel=parallel))


def calls(told: Answer) -> list[Call]:
    return [(call.name, call.arguments) for call in told.tool_calls]


def both(begin: str, end: str, one: str = '{"name": "get_weather", "arguments": {"city": "Paris"}}') -> str:
    return f'{begin}{one}, {{"name": "get_time", "arguments": {{}}}}{end}'


CASES: list[tuple[str, str, str, list[Call]]] = [
    # The dialects' own shapes.
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>{"arguments": {"city": "Paris"}, "name": "get_weather"}</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>[{"name": "get_time", "arguments": {}}]</tool_call>', "", [NOW]),
    ("hermes", '<tool_call>{"name": "get_time"}</tool_call>', "", [NOW]),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": null}</tool_call>', "", [NOW]),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": ""}</tool_call>', "", [NOW]),
    ("phi", both("<|tool_call|>[", "]<|/tool_call|>"), "", [PARIS, NOW]),
    ("phi", both("functools[", "]"), "", [PARIS, NOW]),
    ("functools", both("functools[", "]"), "", [PARIS, NOW]),
    ("mistral_list", both("[TOOL_CALLS] [", "]"), "", [PARIS, NOW]),
    ("mistral_list", '[TOOL_CALLS][{"name": "get_time", "arguments": {}, "id": "a1B2c3D4e"}]', "", [NOW]),
    ("mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}', "", [PARIS, NOW]),
    ("mistral", '[TOOL_CALLS]get_weather[CALL_ID]a1B2c3D4e[ARGS]{"city": "Paris"}', "", [PARIS]),
    ("mistral", '[TOOL_CALLS]get_weather{"city": "Paris"}', "", [PARIS]),
    ("llama3", '<|python_tag|>{"type": "function", "name": "get_time", "parameters": {}}', "", [NOW]),
    ("llama3", '{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ("llama3", '{"name": "get_time", "parameters": {}}; {"name": "get_time", "parameters": {}}', "", [NOW, NOW]),
    ("llama3", '<function=get_weather>{"city": "Paris"}</function>', "", [PARIS]),
    (
        "qwen3_coder",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        "",
        [PARIS],
    ),
    ("qwen3_coder", "<function=get_time>\n</function>\n</tool_call>", "", [NOW]),
    (
        "qwen3_coder",
        "<tool_call><function=get_time></function></tool_call>\n<tool_call><function=get_time></function></tool_call>",
        "",
        [NOW, NOW],
    ),
    ("function_calls", both("<|function_calls|>\n[", "]\n<|/function_calls|>"), "", [PARIS, NOW]),
    ("function_calls", both("<|function_calls|>[", "]<|end_function_calls|>"), "", [PARIS, NOW]),
    ("functioncall", """<functioncall> {"name": "get_weather", "arguments": '{"city": "Paris"}'} """, "", [PARIS]),
    ("functioncall", '<functioncall>{"name": "get_time", "arguments": {}}</functioncall>', "", [NOW]),
    ("json_block", both("```json\n[", "]\n```"), "", [PARIS, NOW]),
    ("json_block", '```\n{"name": "get_time", "arguments": {}}\n```', "", [NOW]),
    ("function_call", r'{"function_call": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}', "", [PARIS]),
    ("function_call", '{"function_call": {"arguments": "{}", "name": "get_time"}}', "", [NOW]),
    ("json", '{"name": "get_weather", "arguments": {"city": "Paris"}}', "", [PARIS]),
    ("json", '{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ("json", both("[", "]"), "", [PARIS, NOW]),
    ("json", '{"type": "function", "function": {"name": "get_time", "arguments": {}}}', "", [NOW]),
    ("json", '{"function": "get_time", "arguments": {}}', "", [NOW]),
    (
        "json",
        r"""{"tool_calls": [{"id": "x", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
            {"function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]}""",
        "",
        [NOW, PARIS],
    ),
    # Escapes, unicode and brackets in strings.
    ("hermes", f'<tool_call>{{"name": "get_weather", "arguments": {TRICKY_JSON}}}</tool_call>', "", [TRICKY]),
    ("json", f'{{"name": "get_weather", "arguments": {json.dumps(TRICKY_JSON)}}}', "", [TRICKY]),
    ("json", f'{{"arguments": {json.dumps(TRICKY_JSON, ensure_ascii=False)}, "name": "get_weather"}}', "", [TRICKY]),
    ("mistral", f"[TOOL_CALLS]get_weather[ARGS]{TRICKY_JSON}", "", [TRICKY]),
    # Text beside calls.
    ("hermes", 'Let me look.\n\n<tool_call>{"name": "get_time", "arguments": {}}</tool_call>', "Let me look.", [NOW]),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>\nDone.\n', "Done.\n", [NOW]),
    ("json", 'Call:\n{"name": "get_time", "arguments": {}}\nDone.', "Call:\n\nDone.", [NOW]),
    ("mistral", "One [TOOL_CALLS]get_time[ARGS]{} two", "One  two", [NOW]),
    # What models get wrong and can be understood.
    ("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}', "", [PARIS]),
    ("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}}</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": {},}</tool_call', "", [NOW]),
    ("hermes", both("<tool_call>", "</tool_call>"), "", [PARIS, NOW]),
    ("hermes", '<tool_call>{"id": 1, "to": ["a"], "name": "get_time", "arguments": {}}</tool_call>', "", [NOW]),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": {}, "name": "rm", "n": 1}</tool_call>', "", [NOW]),
    ("json", r'{"name": "get_weather", "arguments": " {\"city\": \"Paris\"}} "}', "", [PARIS]),
    (
        "hermes",
        '<tool_call>{"name": "get_time", "arguments": {}}\n<tool_call>{"name": "get_time", "arguments": {}}',
        "",
        [NOW, NOW],
    ),
    ("hermes", "<tool_call><function=get_time></function></tool_call>", "", [NOW]),
    ("hermes", '```json\n{"name": "get_time", "arguments": {}}\n```', "", [NOW]),
    (
        "json",
        '{"name": "get_weather", "arguments": {"code": "a\n\tb\x01", "say": "it\\\'s"}}',
        "",
        [("get_weather", r'{"code": "a\n\tb\u0001", "say": "it' + "'" + 's"}')],
    ),
    (
        "json",
        r'{"name": "get_weather", "arguments": "{\"a\": \"\ud83d \ude00 \ud83d\ud83d\ude00 \ud83d\n \uZZ\"}"}',
        "",
        [("get_weather", '{"a": "\ufffd \ufffd \ufffd😀 \ufffd\\n \ufffdZZ"}')],
    ),
    # Calls of functions that were not offered stay text; those beside them do not.
    (
        "hermes",
        '<tool_call>{"name": "rm", "arguments": {}}</tool_call><tool_call>{"name": "get_time"}</tool_call>',
        '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
        [NOW],
    ),
    (
        "mistral_list",
        '[TOOL_CALLS][{"name": "rm", "arguments": {}}, {"name": "get_time", "arguments": {}}]',
        '[TOOL_CALLS][{"name": "rm", "arguments": {}}',
        [NOW],
    ),
    (
        "mistral_list",
        '[TOOL_CALLS][{"name": "get_time", "arguments": {}}, {"name": "rm", "arguments": {}}]',
        ', {"name": "rm", "arguments": {}}]',
        [NOW],
    ),
]

TEXTS = [
    # No call at all.
    ("hermes", ""),
    ("hermes", " \n"),
    ("hermes", "Plain text, with <tags>, {brackets} and [lists].\n"),
    ("hermes", '{"city": "Paris"}'),
    ("hermes", "<tool_cal"),
    ("hermes", "```python\nprint({})\n```\n"),
    ("hermes", "```\n{1: 2}\n```"),
    ("hermes", "```json"),
    ("hermes", "``` not a `fence"),
    ("phi", "functools is a module"),
    ("json", "{"),
    ("json", "[{]}"),
    ("json", '{"name": "Paris", "arguments": []}'),
    # Functions that were not offered.
    ("hermes", '<tool_call>{"name": "rm", "arguments": {"a": 1}}</tool_call>'),
    ("hermes", '<tool_call>{"arguments": {"a": 1}, "name": "rm"}</tool_call>'),
    ("hermes", '<tool_call>{"name": "rm", "arguments": {}'),
    ("phi", '<|tool_call|>[{"name": "rm", "arguments": {}}]<|/tool_call|>'),
    ("json", '{"name": "rm", "arguments": {}}'),
    ("json", '{"tool_calls": [{"name": "rm", "arguments": {}}]}'),
    ("mistral", "[TOOL_CALLS]rm[ARGS]{}"),
    ("qwen3_coder", "<tool_call>\n<function=rm>\n</function>\n</tool_call>"),
    # Calls that go wrong before they are calls.
    ("hermes", "<tool_call>get_time</tool_call>"),
    ("hermes", "<tool_call>{}</tool_call>"),
    ("hermes", "<tool_call>[]</tool_call>"),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": 5}</tool_call>'),
    ("hermes", '<tool_call>{"name": "get_time", "arguments": "now"}</tool_call>'),
    ("hermes", '<tool_call>{"name": 5}</tool_call>'),
    ("hermes", '<tool_call>{"name": [5]}</tool_call>'),
    ("hermes", '<tool_call>{"name" "get_time"}</tool_call>'),
    ("hermes", '<tool_call>{"name": "get_time"'),
    ("hermes", '<tool_call>{"arguments": {"a": [1}}, "name": "get_time"}</tool_call>'),
    ("hermes", "<tool_call><function=get_time</function></tool_call>"),
    ("hermes", "<tool_call><function=get_time>now</function></tool_call>"),
    ("hermes", "<tool_call><fun>get_time</fun></tool_call>"),
    ("hermes", "<tool_call><function=get_time></function!</tool_call>"),
    ("mistral", "[TOOL_CALLS]get_time"),
    ("mistral", "[TOOL_CALLS]get_time[ARG]{}"),
    ("mistral", "[TOOL_CALLS]get_time\n{}"),
    ("llama3", "<|python_tag|>print(1)"),
    ("json", '{"name": "get_time"}'),
    ("json", '{"name": "get_time", "time": 1}'),
    ("json", '{"id": {"name": "get_time"}}'),
    ("json", 'Inline {"name": "get_time", "arguments": {}}'),
    ("json", '{"tool_calls": {"name": "get_time"}}'),
]


def label(value: object) -> str:
    return str(value)[:40]


@pytest.mark.parametrize(("dialect", "text", "content", "expected"), CASES, ids=label)
def test_calls_are_found_and_the_rest_is_content(dialect: str, text: str, content: str, expected: list[Call]) -> None:
    told = answer(dialect, [text])

    assert (calls(told), told.content) == (expected, content)


@pytest.mark.parametrize(("dialect", "text"), TEXTS, ids=label)
def test_what_is_no_call_is_content_to_the_letter(dialect: str, text: str) -> None:
    assert answer(dialect, [text]) == Answer(text)


@pytest.mark.parametrize(("dialect", "text"), [case[:2] for case in CASES] + TEXTS, ids=label)
def test_a_cut_at_any_position_changes_nothing(dialect: str, text: str) -> None:
    whole = answer(dialect, [text])

    assert all(answer(dialect, [text[:place], text[place:]]) == whole for place in range(len(text) + 1))
    assert answer(dialect, list(text)) == whole


@pytest.mark.parametrize(("dialect", "text"), [case[:2] for case in CASES], ids=label)
def test_arguments_are_json(dialect: str, text: str) -> None:
    assert all(isinstance(json.loads(call.arguments), dict) for call in answer(dialect, [text]).tool_calls)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("expected", [[PARIS], [PARIS, ("get_time", '{"zone": "a\\nb"}')]], ids=len)
def test_what_a_dialect_writes_it_reads(dialect: str, expected: list[Call]) -> None:
    told = answer(dialect, list(DIALECTS[dialect].format.write(expected)))

    assert calls(told) == expected
    assert told.content == ""


def test_calls_have_indexes_and_ids_of_their_own() -> None:
    events = read("phi", [both("functools[", "]")])

    assert events == [
        ToolCallStart(0, "call_0", "get_weather"),
        ToolCallArguments(0, '{"city": "Paris"}'),
        ToolCallStart(1, "call_1", "get_time"),
        ToolCallArguments(1, "{}"),
    ]


def test_ids_are_random_unless_a_source_is_given() -> None:
    events = events_of([both("functools[", "]")], tool_dialect="phi", tools=TOOLS)
    ids = {call.id for call in join_events(events).tool_calls}

    assert len(ids) == 2
    assert all(re.fullmatch("call_[A-Za-z0-9]{24}", call_id) for call_id in ids)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Par'),
        ("json", r'{"name": "get_weather", "arguments": "{\"city\": \"Par'),
        ("qwen3_coder", "<function=get_weather><parameter=city>\nPar"),
    ],
)
def test_arguments_stream_while_they_are_written(dialect: str, text: str) -> None:
    stream = TextStream(PieceDecoder(text), tool_dialect=dialect, tools=TOOLS)
    events = [event for token_id in range(len(text)) for event in stream.push(token_id)]

    assert [(call.name, call.arguments) for call in join_events(events).tool_calls] == [
        ("get_weather", '{"city": "Par')
    ]
    assert events[-1] == ToolCallArguments(0, "r")


def test_a_call_is_announced_before_its_arguments_are_complete() -> None:
    (start, arguments) = read("hermes", ['<tool_call>{"name": "get_weather", "arguments": {"city'])

    assert start == ToolCallStart(0, "call_0", "get_weather")
    assert arguments == ToolCallArguments(0, '{"city')


@pytest.mark.parametrize(
    ("dialect", "text", "arguments", "content"),
    [
        ("hermes", """<tool_call>{"name": "get_time", "arguments": {'a': 1}}</tool_call>x""", "{'a': 1}}", "x"),
        ("hermes", '<tool_call>{"name": "get_time", "arguments": {"a": [1}}</tool_call>x', '{"a": [1}}', "x"),
        ("hermes", '<tool_call>{"name": "get_time", "arguments": {"a": 1</tool_call>x', '{"a": 1', "x"),
        ("json", '{"name": "get_time", "arguments": {"a": [1}} x', '{"a": [1}} x', ""),
        ("json", '{"name": "get_time", "arguments": "{"} x', '{"} x', ""),
        ("qwen3_coder", "<function=get_time>{'a'}</function>x", "{'a'}", "x"),
        ("qwen3_coder", "<function=get_time><parameter=a>\n[1, 2\n</par", '{"a": [1, 2\n</par', ""),
        ("qwen3_coder", "<function=get_weather><parameter=city>a</parameter>x", '{"city": "a"}', "x"),
    ],
)
def test_an_announced_call_keeps_what_was_written_in_it(dialect: str, text: str, arguments: str, content: str) -> None:
    told = answer(dialect, list(text))

    assert [call.arguments for call in told.tool_calls] == [arguments]
    assert told.content == content


def test_without_parallel_calls_the_first_one_ends_the_answer() -> None:
    text = "Now: " + both("functools[", ', {"name": "rm", "arguments": {}}] more')

    for pieces in ([text], list(text)):
        told = answer("phi", pieces, parallel=False)
        assert (calls(told), told.content) == ([PARIS], "Now:")


def test_without_tools_calls_are_text() -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'

    assert join_events(events_of([text], tool_dialect="hermes", tools=[])) == Answer(text)


def test_stop_strings_do_not_cut_calls() -> None:
    text = 'Now:\n<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>\nDone.'
    stream = TextStream(PieceDecoder([text]), tool_dialect="hermes", tools=TOOLS, stop=["}", "Done"])
    told = join_events(stream.push(0) + stream.finish())

    assert (calls(told), told.content) == ([NOW], "Now:")
    assert stream.stopped


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, "42", '"42"'),
        ({"type": "string"}, '\na "b"\n\\', r'"a \"b\"\n\\"'),
        ({"type": ["string", "null"]}, "null", "null"),
        ({"type": ["string", "null"]}, "nil", '"nil"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "7", '"7"'),
        ({"type": "integer"}, " 42 ", "42"),
        ({"type": "integer"}, "many", '"many"'),
        ({"type": "number"}, "NaN", '"NaN"'),
        ({"type": "boolean"}, "True", "true"),
        ({"type": "object"}, '{"a": [1]}', '{"a": [1]}'),
        ({}, "None", "null"),
        (None, "[1, 2]", "[1, 2]"),
        (True, "x < y", '"x < y"'),
        ({"type": 5, "anyOf": "no list"}, "1", "1"),
    ],
)
def test_values_in_tags_become_json_of_the_schema_s_type(schema: object, value: str, expected: str) -> None:
    tool = ToolSpec("f", parameters={"properties": {"k": schema}})
    text = f"<function=f><parameter=k>{value}</parameter></function>"

    for pieces in ([text], list(text)):
        events = events_of(pieces, tool_dialect="qwen3_coder", tools=[tool])
        assert join_events(events).tool_calls[0].arguments == f'{{"k": {expected}}}'


SOUP = st.lists(
    st.sampled_from(
        [
            *dict.fromkeys(marker for dialect in DIALECTS.values() for marker in dialect.markers),
            *(
                '{"name": "get_time"',
                '{"name": "rm"',
                ', "arguments": ',
                '"arguments": ',
                '"tool_calls": [',
                "{}",
                '"{}"',
            ),
            *"{}[]\",:'\\\n <`",
            *("```json\n", "get_time", "<function=get_time>", "<parameter=a>", "<think>", "</think>", "END", "EN"),
        ]
    ),
    max_size=25,
)


@given(st.sampled_from(sorted(DIALECTS)), SOUP, st.lists(st.integers(min_value=0), max_size=5))
def test_any_text_cut_anywhere_makes_the_same_answer(dialect: str, soup: list[str], places: list[int]) -> None:
    text = "".join(soup)
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]

    assert answer(dialect, [text[start:stop] for start, stop in pairwise(edges)]) == answer(dialect, list(text))


# Messages of channels are framed by markers, which are no content.
PLAIN = sorted(name for name, dialect in DIALECTS.items() if dialect.channels is None)


@given(st.sampled_from(PLAIN), SOUP)
def test_text_in_which_nothing_is_called_is_content_to_the_letter(dialect: str, soup: list[str]) -> None:
    told = answer(dialect, ["".join(soup)])

    assert told.tool_calls or told.content == "".join(soup)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def arguments(city: str, more: object, ascii_only: bool) -> str:
    # The dialect with tags has no way to write values that its own markup could be mistaken for.
    return json.dumps({"city": city.replace("<", ""), "more": [more]}, ensure_ascii=ascii_only)


SEGMENTS = st.lists(
    st.text(alphabet="abc de")
    | st.lists(st.builds(arguments, st.text(), JSON_VALUES, st.booleans()), min_size=1, max_size=2),
    max_size=5,
)


@given(st.sampled_from(sorted(DIALECTS)), SEGMENTS)
def test_calls_and_the_text_between_them_come_out_as_they_went_in(
    dialect: str, segments: list[str | list[str]]
) -> None:
    write, channels = DIALECTS[dialect].format.write, DIALECTS[dialect].channels
    calls = [None if isinstance(each, str) else write(("get_weather", text) for text in each) for each in segments]
    if channels is not None and channels.opened:  # each message has a header, and the prompt begins the first one
        messages = [
            f"{channels.answer}{text}" if call is None else call for text, call in zip(segments, calls, strict=True)
        ]
        written = channels.between.join(messages)
    else:
        written = "".join(
            str(text) if call is None else f"\n{call}\n" for text, call in zip(segments, calls, strict=True)
        )
    told = answer(dialect, list(written))
    texts = [segment for segment in segments if isinstance(segment, str)]

    assert "".join(told.content.split()) == "".join("".join(texts).split())
    assert [json.loads(call.arguments) for call in told.tool_calls] == [
        json.loads(text) for segment in segments if not isinstance(segment, str) for text in segment
    ]


def test_a_function_without_a_schema_takes_any_parameter() -> None:
    told = answer(
        "qwen3_coder", ["<function=get_time><parameter=a>1</parameter>\n<parameter=b>x</parameter></function>"]
    )

    assert calls(told) == [("get_time", '{"a": 1, "b": "x"}')]
