"""The encoder of server-sent events, against a reader written after the specification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.event_stream import read_events, read_json_events

from obeaver.web import sse


def test_json_is_one_data_line() -> None:
    assert sse.event({"a": "x\ny"}) == b'data: {"a":"x\\ny"}\n\n'


def test_an_event_may_have_a_name() -> None:
    assert sse.event({"a": 1}, "message_start") == b'event: message_start\ndata: {"a":1}\n\n'
    assert sse.event("a\nb", "ping") == b"event: ping\ndata: a\ndata: b\n\n"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", b"data: \n\n"),
        ("a", b"data: a\n\n"),
        (" a", b"data:  a\n\n"),
        ("a\nb", b"data: a\ndata: b\n\n"),
        ("a\r\nb\rc", b"data: a\ndata: b\ndata: c\n\n"),
        ("a\n", b"data: a\ndata: \n\n"),
        ("a\u2028b", "data: a\u2028b\n\n".encode()),
    ],
)
def test_every_line_of_a_text_is_a_data_line(text: str, encoded: bytes) -> None:
    assert sse.event(text) == encoded


@given(st.lists(st.text()))
def test_a_reader_gets_every_text_back_with_plain_line_ends(texts: list[str]) -> None:
    stream = b"".join(map(sse.event, texts))

    assert read_events(stream) == [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]


@given(st.lists(st.dictionaries(st.text(), st.text())))
def test_a_reader_gets_every_json_value_back(values: list[dict[str, str]]) -> None:
    assert read_json_events(b"".join(map(sse.event, values)) + sse.DONE) == values


@pytest.mark.parametrize("text", ["x\n\ndata: forged", "x\r\rdata: forged", "x\r\n\r\nevent: forged", "x\nid: 7"])
def test_no_text_can_begin_another_event_or_field(text: str) -> None:
    (event,) = read_events(sse.event(text))

    assert event == text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_comment_between_events_is_skipped() -> None:
    assert read_events(sse.COMMENT + sse.event("a") + sse.COMMENT + sse.DONE) == ["a", "[DONE]"]


def test_half_a_surrogate_pair_does_not_break_the_stream() -> None:
    assert read_events(sse.event("a\ud800b")) == ["a?b"]
