"""Streams in the words of each dialect, traced alike, and what is said of their speed."""

import json
from typing import Any

import pytest
from support.chat_stand_in import ChatStandIn, chat_stand_in

from benchmarks.dialects import Figures, told
from benchmarks.load.chat_stream import stream_words
from benchmarks.load.dialects import DIALECTS, Dialect
from benchmarks.load.prompts import fresh_messages

NAMES = [dialect.name for dialect in DIALECTS]


def named(*events: dict[str, Any]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


STREAMS: dict[str, list[bytes]] = {
    "Responses": named(
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "delta": "two"},
        {"type": "response.output_text.delta", "delta": " words"},
        {"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 2}}},
    ),
    "Messages": named(
        {"type": "message_start", "message": {}},
        {"type": "ping"},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "two"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": " words"}},
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 7, "output_tokens": 2}},
    ),
    "Ollama": [
        b'{"message": {"content": "two"}, "done": false}\n',
        b'{"message": {"content": " words"}, "done": false}\n',
        b'{"message": {"content": ""}, "done": true, "prompt_eval_count": 7, "eval_count": 2}\n',
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS, ids=NAMES)
async def test_a_stream_is_traced_in_every_dialect(dialect: Dialect) -> None:
    stand_in = ChatStandIn(pieces=STREAMS[dialect.name]) if dialect.name in STREAMS else ChatStandIn()
    async with chat_stand_in(stand_in) as server:
        found = await stream_words(dialect.words, server.url, dialect.body("m", fresh_messages(3), 2))
    assert (found.text, found.num_prompt_tokens, found.num_tokens) == ("two words", 7, 2)
    (body,) = stand_in.bodies
    assert body["model"] == "m"


@pytest.mark.parametrize(("rates", "status"), [((100, 96, 99, 101), 0), ((100, 90, 99, 101), 1)])
def test_a_dialect_below_the_claim_is_named(
    rates: tuple[float, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {name: Figures(rate, 50.0) for name, rate in zip(NAMES, rates, strict=True)}
    assert told([one, one, one]) == status
    assert ("Responses" in capsys.readouterr().err) == bool(status)
