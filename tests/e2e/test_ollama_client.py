"""The official Ollama client against the default models."""

from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
GREEDY = {"temperature": 0, "num_predict": 24}
MODEL = "smollm2-135m:latest"


@pytest.fixture
def local(server: ServerProcess) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url) as client:
        yield client


def test_a_chat_streamed_and_whole(local: ollama.Client) -> None:
    answer = local.chat(MODEL, QUESTION, options=GREEDY)
    parts = list(local.chat(MODEL, QUESTION, stream=True, options=GREEDY))
    assert "".join(part.message.content or "" for part in parts) == answer.message.content
    assert (answer.done_reason, answer.eval_count) == ("length", 24)
    assert parts[-1].prompt_eval_count == answer.prompt_eval_count
    assert parts[-1].eval_duration


def test_a_prompt_streamed_and_whole(local: ollama.Client) -> None:
    question = QUESTION[0]["content"]
    answer = local.generate(MODEL, question, options=GREEDY)
    parts = list(local.generate(MODEL, question, stream=True, options=GREEDY))
    assert "".join(part.response or "" for part in parts) == answer.response
    assert answer.response == local.chat(MODEL, QUESTION, options=GREEDY).message.content


def test_an_answer_is_held_to_a_schema(local: ollama.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    answer = local.chat(MODEL, [{"role": "user", "content": "Name a city."}], format=schema)
    assert answer.message.content in {'{"city": "Paris"}', '{"city": "Rome"}'}


def test_results_of_tools_are_understood(local: ollama.Client) -> None:
    tools: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_name": "get_weather", "content": "21 degrees"},
    ]
    asked = local.chat(MODEL, messages[:1], tools=tools, options={"num_predict": 1})
    told = local.chat(MODEL, messages, tools=tools, options={"num_predict": 1})
    assert (told.prompt_eval_count or 0) > (asked.prompt_eval_count or 0)


def test_models_are_listed_and_shown(local: ollama.Client) -> None:
    assert MODEL in [model.model for model in local.list().models]
    assert [model.model for model in local.ps().models] == [MODEL]
    shown = local.show(MODEL)
    assert shown.modelinfo
    assert "completion" in (shown.capabilities or [])


def test_errors_are_the_clients_own(local: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="num_ctx") as caught:
        local.chat(MODEL, QUESTION, options={"num_ctx": 100_000})
    assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError) as unknown:
        local.show("nobody-knows-it")
    assert unknown.value.status_code == 404


def test_vectors(embedder: ServerProcess) -> None:
    with ollama.Client(host=embedder.url) as local:
        several = local.embed("all-minilm", ["A beaver.", "A dam."])
        old = local.embeddings("all-minilm", "A beaver.")
    assert len(several.embeddings) == 2
    assert several.embeddings[0] == pytest.approx(old.embedding, abs=1e-5)
    assert sum(x * x for x in several.embeddings[1]) == pytest.approx(1, abs=1e-4)
    assert several.prompt_eval_count
