"""The official Python client against a real server and a real model."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Name three colours of the rainbow."}]
LONG_STORY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a long story about a beaver."}]


def ask(client: openai.OpenAI, **parameters: Any) -> Any:
    request: dict[str, Any] = {"model": "any", "messages": QUESTION, "max_tokens": 40} | parameters
    return client.chat.completions.create(**request)


def joined(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_an_answer_has_text_a_finish_reason_and_usage_that_adds_up(client: openai.OpenAI) -> None:
    answer = ask(client, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content.strip()
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 < answer.usage.completion_tokens <= 40
    assert answer.model == client.models.list().data[0].id


def test_the_token_limit_is_kept_and_named(client: openai.OpenAI) -> None:
    answer = ask(client, messages=LONG_STORY, max_tokens=5, temperature=0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_joined_deltas_are_the_text_of_the_plain_answer(client: openai.OpenAI) -> None:
    plain = ask(client, temperature=0)
    chunks = list(ask(client, temperature=0, stream=True))
    assert joined(chunks) == plain.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == plain.choices[0].finish_reason
    assert len({chunk.id for chunk in chunks}) == 1


def test_include_usage_adds_one_last_chunk_with_the_same_counts_as_the_plain_answer(client: openai.OpenAI) -> None:
    plain = ask(client, temperature=0)
    chunks = list(ask(client, temperature=0, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == plain.usage.prompt_tokens


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    plain = ask(client, temperature=0).choices[0].message.content
    stop = plain[len(plain) // 2 :][:3]
    cut = ask(client, temperature=0, stop=[stop])
    assert cut.choices[0].message.content == plain[: plain.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


async def test_the_async_client_gets_the_same_answer(client: openai.OpenAI, server: ServerProcess) -> None:
    plain = ask(client, temperature=0)
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0) as aclient:
        answer = await aclient.chat.completions.create(model="any", messages=QUESTION, max_tokens=40, temperature=0)
    assert answer.choices[0].message.content == plain.choices[0].message.content


async def test_four_streams_at_once_each_get_what_they_would_get_alone(server: ServerProcess) -> None:
    questions = ["Name a fruit.", "What is two plus two?", "Write a haiku about rain.", "Who wrote Hamlet?"]
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0) as client:

        async def stream(question: str) -> str:
            messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
            chunks = await client.chat.completions.create(
                model="any", messages=messages, max_tokens=32, temperature=0, stream=True
            )
            return joined([chunk async for chunk in chunks])

        alone = [await stream(question) for question in questions]
        together = await asyncio.gather(*(stream(question) for question in questions))
    assert together == alone
    assert len(set(alone)) == 4


async def test_a_seed_gives_the_same_text_alone_and_beside_three_other_streams(server: ServerProcess) -> None:
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0) as client:

        async def story(seed: int | None) -> str:
            answer = await client.chat.completions.create(
                model="any", messages=LONG_STORY, max_tokens=48, temperature=1.0, seed=seed
            )
            return answer.choices[0].message.content or ""

        alone = await story(7)
        beside, *others = await asyncio.gather(story(7), story(8), story(9), story(None))
    assert beside == alone
    assert alone not in others


def test_what_the_sdk_calls_errors_are_raised_as_its_own_kinds(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, temperature="hot")
    assert refused.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")
