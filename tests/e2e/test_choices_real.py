"""Several answers to one request on a real model: different, reproducible, and from one prefill."""

import re
from typing import Any
from urllib.request import urlopen

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

STORY: list[ChatCompletionMessageParam] = [
    {
        "role": "user",
        "content": "A beaver called Anton lives on the river Spree. Every morning he counts the trees on his side, "
        "then those on the other side, and in the evening he writes both numbers into a small book with a green cover. "
        "One day the numbers do not add up. Tell me what happened to the missing tree, and who took it.",
    }
]


def counters(server: ServerProcess) -> dict[str, int]:
    with urlopen(server.url + "/metrics", timeout=60) as answer:  # noqa: S310
        text = answer.read().decode()
    return {
        name: int(float(value))
        for name, value in re.findall(r"^vllm:(\w+_total)\{model_name=\"[^\"]+\"\} (\S+)$", text, re.MULTILINE)
    }


def ask(client: openai.OpenAI, **parameters: Any) -> Any:
    request: dict[str, Any] = {"model": "any", "messages": STORY, "max_tokens": 20, "temperature": 1.0, "seed": 11}
    return client.chat.completions.create(**request | parameters)


def texts(answer: Any) -> list[str]:
    return [choice.message.content for choice in answer.choices]


def test_four_answers_share_one_prefill_differ_and_come_again(client: openai.OpenAI, server: ServerProcess) -> None:
    before = counters(server)
    four = ask(client, n=4)
    after = counters(server)
    num_prompt, num_cached = four.usage.prompt_tokens, four.usage.prompt_tokens_details.cached_tokens
    grown = {name: after[name] - before[name] for name in after}
    assert grown["prompt_tokens_total"] == 4 * num_prompt
    # What the first knew already, and for the others everything but the last token, whose logits are wanted.
    assert grown["prefix_cache_hits_total"] == num_cached + 3 * (num_prompt - 1)
    assert grown["generation_tokens_total"] == four.usage.completion_tokens == 80
    assert len(set(texts(four))) == 4
    assert texts(ask(client, n=4)) == texts(four)
    assert texts(ask(client)) == texts(four)[:1]


def test_a_stream_of_four_says_the_same(client: openai.OpenAI) -> None:
    four = ask(client, n=4)
    streamed = [""] * 4
    for chunk in ask(client, n=4, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts(four)
