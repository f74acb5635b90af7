"""Legacy completions with the official client, on a real model."""

from typing import Any

import openai
import pytest
from support.reference_model import ReferenceModel, post
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

PROMPT = "The capital of France is"


def complete(client: openai.OpenAI, prompt: Any = PROMPT, **parameters: Any) -> Any:
    request: dict[str, Any] = {"model": "any", "prompt": prompt, "max_tokens": 12, "temperature": 0} | parameters
    return client.completions.create(**request)


def test_a_text_goes_on_as_the_model_would_go_on(client: openai.OpenAI, reference: ReferenceModel) -> None:
    prompt_ids = reference.tokenizer.encode(PROMPT)
    expected = reference.tokenizer.decode(reference.greedy(prompt_ids, 12, lambda logits, _output: logits))
    answer = complete(client)
    assert answer.object == "text_completion"
    assert answer.choices[0].text == expected
    assert answer.choices[0].text.startswith(" ")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(prompt_ids), 12)


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    chunks = list(complete(client, stream=True, stream_options={"include_usage": True}))
    answer = complete(client)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == answer.choices[0].text
    assert chunks[-2].choices[0].finish_reason == answer.choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == answer.usage.total_tokens


def test_every_form_of_a_prompt_gives_the_same_text(client: openai.OpenAI, reference: ReferenceModel) -> None:
    ids = reference.tokenizer.encode(PROMPT)
    plain = complete(client).choices[0].text
    for prompt in ([PROMPT], ids, [ids]):
        assert complete(client, prompt).choices[0].text == plain
    both = complete(client, [PROMPT, "Two and two make"]).choices
    assert [both[0].text, both[1].text] == [plain, complete(client, "Two and two make").choices[0].text]


def test_a_conversation_written_by_hand_is_the_one_that_the_template_writes(
    client: openai.OpenAI, server: ServerProcess
) -> None:
    messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
    tokens = post(server.url + "/v1/tokenize", {"messages": messages})["tokens"]
    text = post(server.url + "/v1/detokenize", {"tokens": tokens})["prompt"]
    chat = client.chat.completions.create(model="any", messages=messages, temperature=0, max_tokens=12)
    assert complete(client, text).choices[0].text == chat.choices[0].message.content
    assert chat.usage is not None
    assert chat.usage.prompt_tokens == len(tokens)


def test_a_continuation_is_likelier_than_another_one(client: openai.OpenAI, reference: ReferenceModel) -> None:
    """The way of evaluation harnesses: choose among continuations by the log-probability of their tokens."""
    context = reference.tokenizer.encode(PROMPT)
    endings = [reference.tokenizer.encode(word) for word in (" Paris", " banana", " the of the")]
    prompts = [context + ending for ending in endings]
    answer = complete(client, prompts, max_tokens=1, logprobs=1, echo=True, seed=1234)
    scores = [sum(choice.logprobs.token_logprobs[len(context) : -1]) for choice in answer.choices]
    assert scores[0] == max(scores)
    for choice, prompt in zip(answer.choices, prompts, strict=True):
        assert len(choice.logprobs.tokens) == len(prompt) + 1
        assert "".join(choice.logprobs.tokens) == choice.text
        assert [choice.text[offset:] for offset in choice.logprobs.text_offset[:1]] == [choice.text]
    without = complete(client, prompts, max_tokens=0, logprobs=1, echo=True)
    for choice, other in zip(answer.choices, without.choices, strict=True):
        assert other.logprobs.token_logprobs == choice.logprobs.token_logprobs[:-1]


def test_scoring_beside_other_streams_changes_nothing(client: openai.OpenAI) -> None:
    text = "Beavers are large rodents that live in rivers. " * 8
    alone = complete(client, text, max_tokens=0, logprobs=0, echo=True).choices[0].logprobs.token_logprobs
    together = complete(client, [text, PROMPT, text], max_tokens=4, logprobs=0, echo=True).choices
    assert together[0].logprobs.token_logprobs[:-4] == alone
    assert together[2].logprobs.token_logprobs[:-4] == alone


def test_what_cannot_be_done_is_refused(client: openai.OpenAI) -> None:
    for parameters in ({"suffix": "."}, {"best_of": 2}):
        with pytest.raises(openai.BadRequestError) as refused:
            complete(client, **parameters)
        assert refused.value.param == next(iter(parameters))
