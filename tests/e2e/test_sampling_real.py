"""What changes the choice of tokens, on a real model: against the definitions, applied to the model's own logits."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from support.reference_model import Adjust, ReferenceModel, post
from support.server_process import ServerProcess

from obeaver.engine.runners.runner import Logits

pytestmark = pytest.mark.real

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "Write a song about the sea, the sun and the sand, with many repetitions."}
]
NUM_TOKENS = 24
FULL_STOP, THE = 30, 260
OURS = ("top_k", "min_p", "repetition_penalty")
"""Parameters that the client knows only as extra ones."""


def presence(logits: Logits, output: Sequence[int]) -> Logits:
    for token_id in set(output):
        logits[token_id] -= 2
    return logits


def frequency(logits: Logits, output: Sequence[int]) -> Logits:
    for token_id, count in Counter(output).items():
        logits[token_id] -= 0.75 * count
    return logits


def negative_presence(logits: Logits, output: Sequence[int]) -> Logits:
    for token_id in set(output):
        logits[token_id] += 2
    return logits


def bias(logits: Logits, output: Sequence[int]) -> Logits:
    logits[THE] += 6.5
    logits[FULL_STOP] -= 100
    return logits


def as_they_are(logits: Logits, output: Sequence[int]) -> Logits:
    return logits


WAYS: dict[str, tuple[dict[str, Any], Adjust]] = {
    "nothing": ({}, as_they_are),
    "presence_penalty": ({"presence_penalty": 2}, presence),
    "a negative presence_penalty": ({"presence_penalty": -2}, negative_presence),
    "frequency_penalty": ({"frequency_penalty": 0.75}, frequency),
    "logit_bias": ({"logit_bias": {str(THE): 6.5, str(FULL_STOP): -100}}, bias),
}


def ask(client: openai.OpenAI, **parameters: Any) -> Any:
    ours = {"ignore_eos": True, **{name: parameters.pop(name) for name in OURS if name in parameters}}
    request: dict[str, Any] = {"model": "any", "messages": QUESTION, "max_tokens": NUM_TOKENS, "temperature": 0}
    return client.chat.completions.create(**request | parameters, extra_body=ours).choices[0]


@pytest.fixture
def prompt_ids(server: ServerProcess) -> list[int]:
    ids: list[int] = post(server.url + "/v1/tokenize", {"messages": QUESTION})["tokens"]
    return ids


@pytest.mark.parametrize("way", WAYS)
def test_the_tokens_are_those_that_the_definition_chooses(
    client: openai.OpenAI, reference: ReferenceModel, prompt_ids: list[int], way: str
) -> None:
    parameters, adjust = WAYS[way]
    expected = reference.tokenizer.decode(reference.greedy(prompt_ids, NUM_TOKENS, adjust))
    assert ask(client, **parameters).message.content == expected
    if adjust is not as_they_are:
        assert expected != reference.tokenizer.decode(reference.greedy(prompt_ids, NUM_TOKENS, as_they_are))


def test_a_repetition_penalty_counts_the_prompt_too(
    client: openai.OpenAI, reference: ReferenceModel, prompt_ids: list[int]
) -> None:
    def repetition(logits: Logits, output: Sequence[int]) -> Logits:
        for token_id in {*prompt_ids, *output}:
            logits[token_id] = logits[token_id] / 1.3 if logits[token_id] > 0 else logits[token_id] * 1.3
        return logits

    expected = reference.tokenizer.decode(reference.greedy(prompt_ids, NUM_TOKENS, repetition))
    assert ask(client, repetition_penalty=1.3).message.content == expected != ask(client).message.content


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"top_p": 0.0001}, {"min_p": 1.0}], ids=str)
def test_the_narrowest_filters_leave_the_likeliest_token(client: openai.OpenAI, filters: dict[str, Any]) -> None:
    hot = ask(client, temperature=2, seed=5, **filters).message.content
    assert hot == ask(client).message.content != ask(client, temperature=2, seed=5).message.content


def test_the_largest_bias_decides_and_the_smallest_forbids(client: openai.OpenAI, reference: ReferenceModel) -> None:
    text = ask(client, logit_bias={str(THE): 100}, max_tokens=5).message.content
    assert text == reference.tokenizer.decode([THE] * 5)
    entries = ask(client, logprobs=True).logprobs.content
    forbidden = {str(reference.id_of_bytes(entry.bytes)): -100 for entry in entries}
    others = ask(client, logprobs=True, logit_bias=forbidden).logprobs.content
    assert not {entry.token for entry in entries} & {entry.token for entry in others}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        "messages[0].content[0].type",
        "no images",
    ),
    "a sound": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
                }
            ]
        },
        "messages[0].content[0].type",
        "no audio",
    ),
    "a spoken answer": ({"modalities": ["text", "audio"]}, "modalities[1]", "text only"),
    "a voice": ({"audio": {"voice": "alloy", "format": "wav"}}, "audio", "text only"),
    "a short answer": ({"verbosity": "low"}, "verbosity", "short answer in a message"),
    "a search": ({"web_search_options": {}}, "web_search_options", "searches nothing"),
    "old functions": ({"functions": [{"name": "f"}]}, "functions", "`tools`"),
}


@pytest.mark.parametrize(("parameters", "param", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_text_model_cannot_do_is_refused_in_words(
    client: openai.OpenAI, parameters: dict[str, Any], param: str, words: str
) -> None:
    request: dict[str, Any] = {"model": "any", "messages": QUESTION} | parameters
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        client.chat.completions.create(**request)
    assert refused.value.param == param
