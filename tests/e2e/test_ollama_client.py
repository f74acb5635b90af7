"""The official Ollama client, and LangChain over it, against the default models."""

from collections.abc import Iterator
from typing import Any, Literal

import ollama
import pytest
from pydantic import BaseModel
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
GREEDY = {"temperature": 0, "num_predict": 24}
MODEL = "smollm2-135m:latest"
UNKEPT: dict[str, Any] = {"headers": {"connection": "close"}}
"""For clients that nobody can close: they keep no connection open."""


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


class City(BaseModel):
    """A city."""

    name: Literal["Paris", "Rome"]
    big: bool


@pytest.fixture
def langchain(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Any:
    """LangChain's chat model for Ollama on our server."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    from langchain_ollama import ChatOllama  # takes a second, and no other test needs it

    return ChatOllama(
        base_url=server.url,
        model="smollm2-135m",
        temperature=0,
        num_predict=24,
        validate_model_on_init=True,
        client_kwargs=UNKEPT,
    )


@pytest.mark.filterwarnings("default")
def test_langchain_chats_streams_and_holds_to_a_form(langchain: Any, local: ollama.Client) -> None:
    answer = langchain.invoke("Why is the sky blue?")
    parts = list(langchain.stream("Why is the sky blue?"))
    assert answer.text == "".join(part.text for part in parts)
    assert answer.text == local.chat(MODEL, QUESTION, options=GREEDY).message.content
    assert answer.response_metadata["done_reason"] == "length"
    assert answer.usage_metadata["output_tokens"] == 24
    assert sum((part.usage_metadata or {}).get("output_tokens", 0) for part in parts) == 24
    form = langchain.model_copy(update={"num_predict": 100}).with_structured_output(City, method="json_schema")
    assert isinstance(form.invoke("Name a city."), City)


@pytest.mark.filterwarnings("default")
def test_langchain_goes_through_a_turn_with_tools(langchain: Any) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
    from langchain_core.tools import tool

    @tool
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """Tell the weather in a city."""
        return f"In {city} it rains."

    call: Any = {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    history: list[Any] = [HumanMessage("What is the weather in Paris?")]
    bound = langchain.bind_tools([get_weather])
    asked = bound.invoke(history)
    history += [AIMessage("", tool_calls=[call]), ToolMessage(get_weather.invoke(call).content, tool_call_id="call_1")]
    told = bound.invoke(history)
    assert told.usage_metadata["input_tokens"] > asked.usage_metadata["input_tokens"]
    assert told.text or told.tool_calls


@pytest.mark.filterwarnings("default")
def test_langchain_gets_vectors(embedder: ServerProcess) -> None:
    from langchain_ollama import OllamaEmbeddings

    embeddings = OllamaEmbeddings(base_url=embedder.url, model="all-minilm", client_kwargs=UNKEPT)
    texts = ["A beaver.", "A dam."]
    vectors = embeddings.embed_documents(texts)
    with ollama.Client(host=embedder.url) as client:
        plain = client.embed("all-minilm", texts).embeddings
    assert [list(vector) for vector in plain] == [pytest.approx(vector, abs=1e-5) for vector in vectors]
    assert embeddings.embed_query(texts[1]) == pytest.approx(vectors[1], abs=1e-5)
