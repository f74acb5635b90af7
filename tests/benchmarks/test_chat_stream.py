"""The streaming client against a server of a few lines."""

import asyncio

import pytest
from support.chat_stand_in import ANSWER, ChatStandIn, chat_stand_in, event

from benchmarks.load.chat_stream import StreamFailed, StreamTrace, decode_rate, prefill_rate, stream_chat

MESSAGES = [{"role": "user", "content": "Hello"}]
BROKEN = {
    "status": (
        ChatStandIn(status="429 Too Many Requests", pieces=[b"busy"], chunked=False),
        "429 Too Many Requests: busy",
    ),
    "error": (ChatStandIn(pieces=[event("two"), event(error="it broke")]), "it broke"),
    "silence": (ChatStandIn(pieces=[b"data: [DONE]\n\n"]), "no text"),
}


def trace(*arrivals: float, sent_at: float = 0.0, num_prompt_tokens: int = 0) -> StreamTrace:
    return StreamTrace(sent_at, arrivals, "", num_prompt_tokens, len(arrivals))


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_answer_is_traced_event_by_event(chunked: bool) -> None:
    async with chat_stand_in(ChatStandIn(chunked=chunked)) as stand_in:
        found = await stream_chat(stand_in.url, MESSAGES, model="m", max_tokens=2)
    assert (found.text, found.num_prompt_tokens, found.num_tokens) == ("two words", 7, 2)
    assert len(found.arrivals) == 2
    assert found.sent_at <= found.arrivals[0] <= found.arrivals[1]
    (body,) = stand_in.bodies
    assert (body["model"], body["max_tokens"], body["stream"], body["temperature"]) == ("m", 2, True, 0)


async def test_events_that_are_cut_anywhere_are_put_together() -> None:
    whole = b"".join(ANSWER)
    async with chat_stand_in(ChatStandIn(pieces=[whole[at : at + 1] for at in range(len(whole))])) as stand_in:
        found = await stream_chat(stand_in.url, MESSAGES)
    assert (found.text, found.num_tokens) == ("two words", 2)


async def test_a_server_that_counts_no_tokens_has_as_many_as_events() -> None:
    async with chat_stand_in(ChatStandIn(pieces=ANSWER[:2])) as stand_in:
        found = await stream_chat(stand_in.url, MESSAGES)
    assert (found.num_tokens, found.num_prompt_tokens) == (2, 0)
    with pytest.raises(StreamFailed, match="how many tokens"):
        prefill_rate([found])


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_answer_fails_with_the_servers_own_words(case: str) -> None:
    server, words = BROKEN[case]
    async with chat_stand_in(server) as stand_in:
        with pytest.raises(StreamFailed, match=words):
            await stream_chat(stand_in.url, MESSAGES)


async def test_a_caller_hears_of_arrivals_before_the_answer_is_complete() -> None:
    heard = asyncio.Event()
    stand_in = ChatStandIn(waits_after_first=heard)
    async with chat_stand_in(stand_in):
        found = await stream_chat(stand_in.url, MESSAGES, on_data=heard.set)
    assert found.text == "two words"


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    async with chat_stand_in(ChatStandIn(breaks_off=True)) as stand_in:
        with pytest.raises(StreamFailed, match="hung up"):
            await stream_chat(stand_in.url, MESSAGES)


async def test_a_server_that_keeps_the_connection_open_does_not_hold_the_client() -> None:
    done = asyncio.Event()
    async with chat_stand_in(ChatStandIn(waits_at_end=done)) as stand_in:
        found = await stream_chat(stand_in.url, MESSAGES)
        done.set()
    assert found.num_tokens == 2


def test_decode_counts_only_the_time_in_which_all_streams_run() -> None:
    early, late = trace(1.0, 2.0, 3.0, 4.0, 5.0), trace(3.0, 4.0, 5.0, 6.0)
    assert decode_rate([early, late]) == pytest.approx(4 / 2)


def test_streams_that_never_run_together_have_no_rate() -> None:
    with pytest.raises(StreamFailed, match="same time"):
        decode_rate([trace(1.0, 2.0), trace(3.0, 4.0)])


def test_prefill_counts_until_the_last_stream_has_its_first_token() -> None:
    streams = [trace(1.5, num_prompt_tokens=100), trace(2.0, 2.1, num_prompt_tokens=300)]
    assert prefill_rate(streams) == pytest.approx(200)
