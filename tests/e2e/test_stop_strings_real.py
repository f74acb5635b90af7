"""Stop strings against what a real model says: wherever they begin and end, nothing of them comes out."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

pytestmark = pytest.mark.real

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a long story about a beaver."}]
REQUEST: dict[str, Any] = {"model": "any", "messages": QUESTION, "max_tokens": 30, "temperature": 0}


@pytest.fixture(scope="module")
def tokens(server: Any) -> list[str]:
    """The answer without any stop string, token by token."""
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0) as client:
        choice = client.chat.completions.create(**REQUEST, logprobs=True).choices[0]
    assert choice.finish_reason == "length"
    return [entry.token for entry in choice.logprobs.content]


def expected(text: str, stop: list[str]) -> str:
    """By definition: cut where the stop string begins that is complete first; of several, the longest."""
    for end in range(1, len(text) + 1):
        if found := [string for string in stop if text[:end].endswith(string)]:
            return text[: end - max(map(len, found))]
    return text


def stops(tokens: list[str]) -> dict[str, list[str]]:
    text = "".join(tokens)
    # The first boundary between tokens from the tenth on where both sides are longer than two characters.
    place = next(i for i in range(10, len(tokens) - 1) if len(tokens[i]) > 2 and len(tokens[i + 1]) > 2)
    start = len("".join(tokens[: place + 1]))
    middle = len(text) // 2
    return {
        "spanning two tokens": [text[start - 1 : start + 1]],
        "spanning five tokens": ["".join(tokens[place : place + 5])],
        "beginning inside a token": [text[start - 2 : start]],
        "inside one token": [tokens[place][1:-1]],
        "a whole token": [tokens[place]],
        "overlapping": [text[middle : middle + 6], text[middle + 3 : middle + 9]],
        "one within another": [text[middle : middle + 8], text[middle + 2 : middle + 4]],
        "ending at one place": [text[middle : middle + 8], text[middle + 4 : middle + 8]],
        "the first character": [text[0]],
        "the first characters": [text[:12]],
        "the last character": [text[-3:]],
        "the whole answer": [text],
        "longer than the answer": [text + "x", text[-4:] + "x"],
        "almost there": [text[middle : middle + 5] + "\x00", "nowhere"],
    }


KINDS = list(stops([f"word{i} " for i in range(40)]))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_stop_string_comes_out(client: openai.OpenAI, tokens: list[str], kind: str) -> None:
    text, stop = "".join(tokens), stops(tokens)[kind]
    whole = client.chat.completions.create(**REQUEST, stop=stop).choices[0]
    pieces, reasons = [], []
    for chunk in client.chat.completions.create(**REQUEST, stop=stop, stream=True):
        pieces.append(chunk.choices[0].delta.content or "")
        reasons.append(chunk.choices[0].finish_reason)
    assert whole.message.content == expected(text, stop)
    assert "".join(pieces) == whole.message.content
    assert reasons[-1] == whole.finish_reason == ("stop" if any(string in text for string in stop) else "length")


def test_log_probabilities_end_with_the_text(client: openai.OpenAI, tokens: list[str]) -> None:
    (stop,) = stops(tokens)["a whole token"]
    choice = client.chat.completions.create(**REQUEST, stop=stop, logprobs=True).choices[0]
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content


def test_so_it_is_where_a_text_goes_on(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"model": "any", "prompt": "A dam is", "max_tokens": 30, "temperature": 0}
    text = client.completions.create(**request).choices[0].text
    for stop in ([text[:3]], [text[5:9], text[7:12]], [text[-5:]]):
        whole = client.completions.create(**request, stop=stop).choices[0].text
        streamed = client.completions.create(**request, stop=stop, stream=True)
        assert whole == expected(text, stop)
        assert "".join(chunk.choices[0].text for chunk in streamed) == whole
