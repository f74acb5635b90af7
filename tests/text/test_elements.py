"""Values that are made of elements, as MiniMax M3 writes lists and objects: whole calls, cut at every place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decoders import events_of

from obeaver.text.events import Answer, join_events
from obeaver.text.tool_calls.elements import as_elements, elements_as_json
from obeaver.text.tool_spec import ToolSpec

MARK = "]<]minimax[>["
LINES = {
    "type": "array",
    "items": {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}},
}
TOOLS = [ToolSpec("order", parameters={"type": "object", "properties": {"lines": LINES, "to": {"type": "string"}}})]


def read(*pieces: str) -> Answer:
    return join_events(events_of(pieces, tool_dialect="minimax_m3", tools=TOOLS, new_call_id=lambda: "call"))


def call(arguments: str) -> str:
    """A call, with `%` for the mark."""
    return f'%<tool_call>\n%<invoke name="order">{arguments}%</invoke>\n%</tool_call>'.replace("%", MARK)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", {}),
        ("%<to>item 7%</to>", {"to": "item 7"}),
        ("%<lines>%<item>%<id>7%</id>%<n>7%</n>%</item>%</lines>", {"lines": [{"id": "7", "n": 7}]}),
        ("%<lines>%<item>%</item>%<item>%<id>%</id>%</item>%</lines>", {"lines": [{}, {"id": ""}]}),
        ("%<lines>%</lines>", {"lines": []}),
        ("%<lines>[]%</lines>", {"lines": []}),
        ('%<lines>[{"id": "7"}]%</lines>', {"lines": [{"id": "7"}]}),
        # Without a schema.
        ("%<a>true%</a>%<b>None%</b>%<c>7.5%</c>%<d>7 days%</d>", {"a": True, "b": None, "c": 7.5, "d": "7 days"}),
        ("%<a>%<item>1%</item>%<item>2%</item>%</a>", {"a": [1, 2]}),
        ("%<a>%<item>1%</item>%<b>2%</b>%</a>", {"a": {"item": 1, "b": 2}}),
        # An element that is called as the argument is.
        ("%<a>%<a>1%</a>%<b>%<a>x%</a>%</b>%</a>%<to>y%</to>", {"a": {"a": 1, "b": {"a": "x"}}, "to": "y"}),
        # Tags that do not fit together are a text.
        ("%<a>x%<b>y%</c>%</a>", {"a": f"x{MARK}<b>y{MARK}</c>"}),
        ("%<a>%<b>y%</a>", {"a": f"{MARK}<b>y"}),
        ("%<a>x % y%</a>", {"a": f"x {MARK} y"}),
    ],
)
def test_elements_are_read_wherever_they_are_cut(written: str, expected: dict[str, Any]) -> None:
    text = call(written)
    whole = read(text)
    assert [(told.name, json.loads(told.arguments)) for told in whole.tool_calls] == [("order", expected)]
    assert whole.content == ""
    assert read(*text) == whole
    assert all(read(text[:place], text[place:]) == whole for place in range(1, len(text)))


def test_a_call_that_was_cut_within_an_element_keeps_what_was_written() -> None:
    text = f"{MARK}<a>1{MARK}</a>{MARK}<b>Par"
    (told,) = read(call(f"%<a>{text}").partition(f"{MARK}</invoke>")[0]).tool_calls
    assert told.arguments == '{"a": ' + text


def test_markup_that_is_no_end_of_a_call_stays_text() -> None:
    text = f'{MARK}<invoke name="order">{MARK}</in>'
    told = read(text)
    assert [call.arguments for call in told.tool_calls] == ["{}"]
    assert told.content == "/in>"


VALUES = st.recursive(
    st.text(st.sampled_from("ab ]<[>\n"), min_size=1).map("x{}".format) | st.integers() | st.booleans() | st.none(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from("abc"), values, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    """Types that no schema tells are guessed, so texts here look like nothing else."""
    assert json.loads(elements_as_json(as_elements(value, MARK), MARK, None)) == value


@pytest.mark.parametrize("depth", [10, 20_000])
def test_depth_is_no_danger(depth: int) -> None:
    text = f"{MARK}<a>" * depth + "x" + f"{MARK}</a>" * depth
    assert elements_as_json(text, MARK, None) == '{"a": ' * depth + '"x"' + "}" * depth
