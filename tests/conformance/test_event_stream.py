"""Reading event streams strictly, and naming no fault in what the specification allows."""

import pytest

from conformance.event_stream import read_event_stream, read_named_events
from conformance.json_lines import read_json_lines
from conformance.json_text import read_json

GOOD = b'data: {"a": 1}\n\ndata: {"b": 2}\n\ndata: [DONE]\n\n'


def test_a_good_stream_has_its_values_and_no_problems() -> None:
    stream = read_event_stream(GOOD)
    assert stream.values == ({"a": 1}, {"b": 2})
    assert stream.problems == ()


@pytest.mark.parametrize(
    "body",
    [
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.replace(b"\n\n", b"\r\n\r\n", 1),
        b": keep-alive\n\n" + GOOD,
        GOOD.replace(b"data: ", b"data:"),
        b"event: message\nid: 7\nretry: 100\n" + GOOD,
        GOOD.replace(b'{"a": 1}', b'{"a":\ndata: 1}'),
    ],
    ids=["CRLF", "CR", "one event with CRLF", "a comment", "no space", "other fields", "JSON on two data lines"],
)
def test_what_the_specification_allows_is_no_problem(body: bytes) -> None:
    stream = read_event_stream(body)
    assert stream.problems == ()
    assert stream.values == ({"a": 1}, {"b": 2})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "[DONE] is missing"),
        (GOOD.replace(b"data: [DONE]\n\n", b""), "[DONE] is missing"),
        (GOOD + b"data: [DONE]\n\n", "more than once"),
        (GOOD + b'data: {"c": 3}\n\n', "events follow [DONE]"),
        (GOOD[:-1], "does not end with a blank line"),
        (GOOD.replace(b"\n\n", b"\n", 1), "an event is no JSON"),
        (GOOD.replace(b"\n\n", b"\n\r\n", 1), "of several kinds"),
        (GOOD.replace(b'"a"', b'"\xf0\x9f"'), "no UTF-8"),
        (GOOD.replace(b"data: [", b"["), "no field of an event stream"),
        (GOOD.replace(b"1", b"NaN"), "NaN is no JSON"),
        (GOOD.replace(b'"a": 1', b'"a": 1, "a": 2'), "the same key twice"),
    ],
)
def test_a_fault_is_named(body: bytes, problem: str) -> None:
    assert any(problem in text for text in read_event_stream(body).problems)


def test_a_json_body_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        read_json(b'{"a": "\xe4"}')


NAMED = b'event: a\ndata: {"type": "a"}\n\nevent: b\ndata: {"type": "b"}\n\n'


def test_a_good_stream_of_named_events_has_its_values_and_no_problems() -> None:
    stream = read_named_events(NAMED)
    assert stream.values == ({"type": "a"}, {"type": "b"})
    assert stream.problems == ()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (NAMED.replace(b"event: a", b"event: c"), "the event 'c' says that it is 'a'"),
        (NAMED.replace(b"event: b\n", b""), "the event None says that it is 'b'"),
        (NAMED + b"data: [DONE]\n\n", "an event is no JSON"),
        (NAMED[:-1], "does not end with a blank line"),
    ],
)
def test_a_fault_of_named_events_is_told(body: bytes, problem: str) -> None:
    assert any(problem in text for text in read_named_events(body).problems)


LINES = b'{"a": 1}\n{"b": 2}\n'


def test_good_lines_have_their_values_and_no_problems() -> None:
    stream = read_json_lines(LINES)
    assert stream.values == ({"a": 1}, {"b": 2})
    assert stream.problems == ()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (LINES[:-1], "the last line does not end"),
        (LINES.replace(b"\n", b"\r\n"), "carriage returns"),
        (LINES + b"\n", "a line is no JSON"),
        (LINES.replace(b"2", b"NaN"), "NaN is no JSON"),
    ],
)
def test_a_fault_of_lines_is_named(body: bytes, problem: str) -> None:
    assert any(problem in text for text in read_json_lines(body).problems)
