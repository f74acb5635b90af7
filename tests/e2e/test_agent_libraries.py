"""LangChain and the OpenAI Agents SDK against a real server and a real model: structured answers, loops of tool calls.

They are imported where they are used: each takes seconds, and none of the other tests needs them.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from support.early_ends import EARLY_ENDS
from support.server_process import ServerProcess

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("default")]

ASK = "What is the weather in Paris?"
AGAIN = "And in Rome?"
MAX_TOKENS = 60


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=12)
    continent: Literal["Europe", "Asia"]
    big: bool


@pytest.fixture
def langchain(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Any:
    """LangChain's chat model on our server."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        base_url=server.url + "/v1",
        api_key="unused",  # type: ignore[arg-type]
        model="any",
        temperature=0,
        max_completion_tokens=MAX_TOKENS,
        max_retries=0,
        timeout=120,
    )


@pytest.fixture
def weather() -> Any:
    """A tool as LangChain has it."""
    from langchain_core.tools import tool

    @tool
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """Tell the weather in a city."""
        return f"In {city} it rains."

    return get_weather


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_gets_a_structured_answer(langchain: Any, method: str) -> None:
    city = langchain.with_structured_output(City, method=method).invoke("Tell me about Paris.")
    assert isinstance(city, City)


@pytest.mark.parametrize("streams", [False, True])
def test_langchain_goes_through_two_turns_with_tools(langchain: Any, weather: Any, streams: bool) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    def ask(choice: str) -> Any:
        bound = langchain.bind_tools([weather], tool_choice=choice)
        if not streams:
            return bound.invoke(history)
        first, *rest = bound.stream(history)
        for chunk in rest:
            first += chunk
        return first

    history: list[Any] = []
    for question in (ASK, AGAIN):
        history.append(HumanMessage(question))
        message = ask("required")
        assert isinstance(message, AIMessage)
        assert {call["name"] for call in message.tool_calls} == {"get_weather"}
        assert message.usage_metadata is not None or streams
        history.append(message)
        results = [weather.invoke(call) for call in message.tool_calls]
        assert all(isinstance(result, ToolMessage) for result in results)
        assert all(str(result.content).endswith("it rains.") for result in results)
        history += results
        answer = ask("none")
        assert answer.text.strip()
        assert not answer.tool_calls
        history.append(answer)
    assert len(history) >= 8


@pytest.fixture(params=["OpenAIResponsesModel", "OpenAIChatCompletionsModel"])
async def agents_model(server: ServerProcess, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """The Agents SDK's model on our server: over Responses, which is its default, and over chat completions."""
    import agents
    import openai

    agents.set_tracing_disabled(True)  # nothing leaves the machine
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield getattr(agents, request.param)(model="any", openai_client=client)


async def test_an_agent_gets_a_structured_answer(agents_model: Any) -> None:
    from agents import Agent, ModelSettings, Runner

    agent: Any = Agent(
        name="Geographer",
        instructions="Tell about cities.",
        model=agents_model,
        output_type=City,
        model_settings=ModelSettings(temperature=0, max_tokens=MAX_TOKENS),
    )
    assert isinstance((await Runner.run(agent, "Paris")).final_output, City)


async def test_an_agent_goes_through_two_turns_with_tools(agents_model: Any) -> None:
    from agents import Agent, ModelSettings, Runner, function_tool

    asked: list[str] = []

    @function_tool
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """Tell the weather in a city."""
        asked.append(city)
        return f"In {city} it rains."

    agent: Any = Agent(
        name="Weatherman",
        instructions="Answer from the tool's result in plain words.",
        model=agents_model,
        tools=[get_weather],
        model_settings=ModelSettings(
            tool_choice="required", temperature=0, max_tokens=600, extra_body={"stop": EARLY_ENDS}
        ),
    )
    first = await Runner.run(agent, ASK)
    num_asked = len(asked)
    history: list[Any] = [*first.to_input_list(), {"role": "user", "content": AGAIN}]
    second = await Runner.run(agent, history)
    assert 0 < num_asked < len(asked)
    assert first.final_output.strip()
    assert second.final_output.strip()
    kinds = [item.get("type") for item in second.to_input_list()]
    assert kinds.count("function_call") == kinds.count("function_call_output") == len(asked)
    assert json.dumps(second.to_input_list())
