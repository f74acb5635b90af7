"""W3C's trace context: what is read, what is answered, what the log says."""

import logging

import pytest
from support.asgi import request

from obeaver.web.middleware import AccessLog, RequestId
from obeaver.web.response import TextResponse
from obeaver.web.trace_context import TraceContext, read_trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-09", True),  # further flags are not known
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_contexts_are_read(value: str, sampled: bool) -> None:
    assert read_trace_context(value) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0x",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_context_is_as_if_it_were_not_there(value: str) -> None:
    assert read_trace_context(value) is None


async def test_who_sends_a_context_gets_the_servers_own_span_and_finds_its_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="obeaver.access")
    app = RequestId(AccessLog(TextResponse("hello")), new_span=lambda: "1234567890abcdef")
    reply = await request(app, "GET", "/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert reply.headers["traceparent"] == f"00-{TRACE}-1234567890abcdef-01"
    assert caplog.messages[0].endswith(f" trace {TRACE}")


async def test_who_sends_none_gets_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="obeaver.access")
    reply = await request(RequestId(AccessLog(TextResponse("hello"))), "GET", "/", headers={"traceparent": "nonsense"})
    assert "traceparent" not in reply.headers
    assert "trace" not in caplog.messages[0]


def test_two_spans_are_not_the_same() -> None:
    contexts = {TraceContext(TRACE, SPAN, True).child(f"{number:016x}").header() for number in (1, 2)}
    assert contexts == {f"00-{TRACE}-{number:016x}-01" for number in (1, 2)}
