"""Log-probabilities over HTTP against a float32 softmax of the very model's logits, to 1e-4."""

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from support.reference_model import ReferenceModel, post
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why do beavers build dams? Use an emoji."}]
CLOSE = 1e-4
OURS = ("top_k", "min_p", "repetition_penalty")
"""Parameters that the client knows only as extra ones."""


def ask(client: openai.OpenAI, **parameters: Any) -> Any:
    ours = {name: parameters.pop(name) for name in OURS if name in parameters}
    request: dict[str, Any] = {"model": "any", "messages": QUESTION, "max_tokens": 16, "logprobs": True} | parameters
    return client.chat.completions.create(**request, extra_body=ours).choices[0]


@pytest.fixture
def prompt_ids(server: ServerProcess) -> list[int]:
    ids: list[int] = post(server.url + "/v1/tokenize", {"messages": QUESTION})["tokens"]
    return ids


SAMPLED: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "hot": {"temperature": 1.5, "seed": 1, "top_k": 0},
    "after filters": {"temperature": 1.0, "seed": 2, "top_k": 3, "top_p": 0.5, "min_p": 0.05},
    "after penalties": {"temperature": 0, "presence_penalty": 2, "frequency_penalty": 2, "repetition_penalty": 1.5},
    "after a bias": {"temperature": 0, "logit_bias": {"260": 30, "28": -100}},
}


@pytest.mark.parametrize("sampling", SAMPLED.values(), ids=SAMPLED)
def test_they_are_those_of_the_models_own_distribution(
    client: openai.OpenAI, reference: ReferenceModel, prompt_ids: list[int], sampling: dict[str, Any]
) -> None:
    choice = ask(client, **sampling, top_logprobs=20)
    entries = choice.logprobs.content
    ids = [reference.id_of_bytes(entry.bytes) for entry in entries]
    total = 0.0
    for entry, token_id, expected in zip(entries, ids, reference.logprobs_along(prompt_ids, ids), strict=True):
        ranked = (-expected).argsort(kind="stable")[:20]
        assert entry.logprob == pytest.approx(float(expected[token_id]), abs=CLOSE)
        assert [reference.id_of_bytes(top.bytes) for top in entry.top_logprobs] == ranked.tolist()
        assert [top.logprob for top in entry.top_logprobs] == pytest.approx(expected[ranked].tolist(), abs=CLOSE)
        total += float(expected[token_id])
    assert sum(entry.logprob for entry in entries) == pytest.approx(total, abs=CLOSE)


def test_the_bytes_of_the_tokens_join_to_the_text_also_inside_characters(client: openai.OpenAI) -> None:
    choice = ask(
        client, messages=[{"role": "user", "content": "Write 🦫🦫🦫 five times."}], max_tokens=60, temperature=0
    )
    entries = choice.logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in entries).decode() == choice.message.content
    assert [entry.token for entry in entries] == [bytes(entry.bytes).decode(errors="replace") for entry in entries]
    assert any("\ufffd" in entry.token for entry in entries), "the model wrote no character of several tokens"


@pytest.mark.parametrize("num_top", range(21))
def test_as_many_alternatives_as_asked_for(client: openai.OpenAI, num_top: int) -> None:
    choice = ask(client, top_logprobs=num_top, max_tokens=2, temperature=0)
    tops = [entry.top_logprobs for entry in choice.logprobs.content]
    assert [len(top) for top in tops] == [num_top, num_top]
    assert all(top == sorted(top, key=lambda entry: -entry.logprob) for top in tops)


def test_a_stream_reports_the_same(client: openai.OpenAI) -> None:
    whole = ask(client, top_logprobs=3, temperature=0)
    request: dict[str, Any] = {"model": "any", "messages": QUESTION, "max_tokens": 16, "temperature": 0}
    chunks = client.chat.completions.create(**request, logprobs=True, top_logprobs=3, stream=True)
    parts = [choice.logprobs.content for chunk in chunks for choice in chunk.choices if choice.logprobs]
    assert [entry for part in parts for entry in part or []] == whole.logprobs.content


def test_an_echoed_prompt_has_those_that_each_of_its_tokens_had(
    client: openai.OpenAI, reference: ReferenceModel
) -> None:
    prompt_ids = reference.tokenizer.encode("The capital of France is Paris, and the beaver lives in Canada 🦫.")
    answer = client.completions.create(model="any", prompt=prompt_ids, echo=True, logprobs=5, max_tokens=1)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.top_logprobs is not None
    total = 0.0
    for place, expected in enumerate(reference.logprobs_in(prompt_ids), start=1):
        total += float(expected[prompt_ids[place]])
        assert logprobs.token_logprobs[place] == pytest.approx(float(expected[prompt_ids[place]]), abs=CLOSE)
        best = sorted(expected.tolist(), reverse=True)[:5]
        assert sorted(logprobs.top_logprobs[place].values(), reverse=True)[:5] == pytest.approx(best, abs=CLOSE)
    assert sum(logprobs.token_logprobs[1 : len(prompt_ids)]) == pytest.approx(total, abs=CLOSE)
