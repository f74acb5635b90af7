"""Streams of lines, each a JSON value."""

import asyncio
import json
from collections.abc import AsyncIterator

from support.asgi import call, http_scope

from obeaver.web import ndjson
from obeaver.web.stream import LINES, EventStream


def test_a_value_is_one_line_whatever_stands_in_it() -> None:
    values: list[object] = [{"a": "x\ny"}, "[1, 2]", 7, {"u": "\u2028"}]
    lines = b"".join(map(ndjson.line, values)).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == [{"a": "x\ny"}, [1, 2], 7, {"u": "\u2028"}]
    assert lines[-1] == b""


async def test_nothing_is_sent_in_a_silence_that_a_reader_of_lines_would_not_pass_over() -> None:
    async def lines() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.05)  # long after the time for a keep-alive
        yield ndjson.line(["late"])

    reply = await call(EventStream(lines(), keep_alive_s=0.001, framing=LINES), http_scope("POST"))
    assert reply.body == b'["late"]\n'
