"""The official OpenAI client's stored responses against the default model, over restarts and kill -9 of the server."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from support.early_ends import EARLY_ENDS
from support.restartable import Restartable

pytestmark = pytest.mark.real

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)
SHORT: dict[str, Any] = {"model": "any", "max_output_tokens": 24, "temperature": 0}
ENDLESS: dict[str, Any] = {"model": "any", "max_output_tokens": 7000, "extra_body": {"ignore_eos": True}}
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
]


class City(BaseModel):
    """What the model is to name."""

    name: str
    is_capital: bool


def client_of(storing: Restartable, key: str = "ann") -> openai.OpenAI:
    return openai.OpenAI(base_url=storing.url + "/v1", api_key=key, max_retries=0, timeout=120)


@pytest.fixture
def ann(storing: Restartable) -> Iterator[openai.OpenAI]:
    with client_of(storing) as client:
        yield client


def valid(response: Response) -> Response:
    """The response, every part of which is of the type that the client says."""
    return Response.model_validate(response.to_dict())


def test_a_conversation_of_three_turns_outlives_its_server(storing: Restartable) -> None:
    with client_of(storing) as client:
        first = valid(client.responses.create(input="Name a city.", instructions="Be brief.", **SHORT))
        assert first.store  # type: ignore[attr-defined]
    storing.stop()
    storing.start()
    with client_of(storing) as client:
        second = valid(client.responses.create(input="And its country?", previous_response_id=first.id, **SHORT))
        with client.responses.stream(input="Why?", previous_response_id=second.id, **SHORT) as stream:
            third = [event for event in stream if event.type in ("response.completed", "response.incomplete")][
                -1
            ].response
        whole: list[Any] = [
            {"role": "user", "content": "Name a city."},
            *[item.to_dict() for item in first.output],
            {"role": "user", "content": "And its country?"},
            *[item.to_dict() for item in second.output],
            {"role": "user", "content": "Why?"},
        ]
        sent = valid(client.responses.create(input=whole, store=False, **SHORT))
        counted = client.responses.input_tokens.count(input="Why?", model="any", previous_response_id=second.id)
        kept = list(client.responses.input_items.list(third.id, order="asc", limit=2))
        again = client.responses.retrieve(third.id)
    assert third.usage is not None
    assert counted.input_tokens == third.usage.input_tokens
    assert third.previous_response_id == second.id
    assert sent.output_text == third.output_text
    assert sent.usage is not None
    assert third.usage is not None
    assert third.usage.input_tokens == sent.usage.input_tokens
    # What the turn before had computed is not computed again.
    assert second.usage is not None
    assert third.usage.input_tokens_details.cached_tokens >= second.usage.input_tokens - 1
    assert [item.type for item in kept] == ["message"] * 5
    assert all(ITEM.validate_python(item.to_dict()) for item in kept)
    assert again.to_dict() == _as_sent(third)


def _as_sent(response: Any) -> dict[str, Any]:
    """What a stream ended with, without what the client's own parser puts into each part of it."""
    sent: dict[str, Any] = response.to_dict()
    for item in sent["output"]:
        for part in item.get("content", []):
            part.pop("parsed", None)
    return sent


def test_a_tool_is_called_and_answered_by_id(ann: openai.OpenAI) -> None:
    with ann.responses.stream(
        input="What is the weather in Paris?",
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        **SHORT | {"max_output_tokens": 100},
    ) as stream:
        first = stream.get_final_response()
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in {"Paris", "Rome"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees, sunny"}
    second = valid(ann.responses.create(input=[result], previous_response_id=first.id, tools=TOOLS, **SHORT))
    assert second.output
    kinds = [item.type for item in ann.responses.input_items.list(second.id, order="asc")]
    assert kinds[0] == "message"
    assert kinds[-2:] == ["function_call", "function_call_output"]


def test_an_answer_is_parsed_in_a_later_turn(ann: openai.OpenAI) -> None:
    first = ann.responses.create(input="Name a city.", **SHORT)
    response = ann.responses.parse(
        model="any",
        input="Now in JSON.",
        previous_response_id=first.id,
        text_format=City,
        max_output_tokens=200,
        temperature=0,
    )
    assert response.status == "completed"
    assert isinstance(response.output_parsed, City)


def test_a_removed_response_is_gone(ann: openai.OpenAI) -> None:
    made = ann.responses.create(input="Hi", **SHORT)
    ann.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        ann.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        ann.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        ann.responses.create(input="Hi", previous_response_id=made.id, **SHORT)
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


def test_nobody_reads_the_responses_of_another_key(ann: openai.OpenAI, storing: Restartable) -> None:
    made = ann.responses.create(input="Hi", **SHORT)
    with client_of(storing, "bob") as bob:
        with pytest.raises(openai.NotFoundError):
            bob.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            bob.responses.delete(made.id)
    assert ann.responses.retrieve(made.id).id == made.id


def test_a_response_in_the_background_is_cancelled(ann: openai.OpenAI) -> None:
    made = valid(ann.responses.create(input="Tell me a story.", background=True, **ENDLESS))
    assert made.status == "queued"
    cancelled = valid(ann.responses.cancel(made.id))
    assert cancelled.status == "cancelled"
    assert ann.responses.cancel(made.id).to_dict() == cancelled.to_dict()
    assert ann.responses.retrieve(made.id).to_dict() == cancelled.to_dict()
    waited_for = ann.responses.create(input="Hi", **SHORT)
    with pytest.raises(openai.BadRequestError):
        ann.responses.cancel(waited_for.id)


def test_a_stream_in_the_background_is_taken_up_again(ann: openai.OpenAI) -> None:
    stream = ann.responses.create(input="Tell me a story.", background=True, stream=True, **ENDLESS)
    first = []
    for event in stream:
        first.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    assert [event.type for event in first[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert first[0].type == "response.created"
    made = first[0].response
    ann.responses.cancel(made.id)
    rest = list(ann.responses.retrieve(made.id, stream=True, starting_after=first[-1].sequence_number))
    events = [*first, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        assert EVENT.validate_python(event.to_dict()).type == event.type
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "cancelled"
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == last.response.output_text
    assert ann.responses.retrieve(made.id).output_text == deltas


def test_what_a_killed_server_was_making_has_failed_and_nothing_else_is_lost(storing: Restartable) -> None:
    with client_of(storing) as client:
        done = client.responses.create(input="Name a city.", **SHORT)
        made = client.responses.create(
            input="Tell me a story.", background=True, previous_response_id=done.id, **ENDLESS
        )
        assert client.responses.retrieve(made.id).status in {"queued", "in_progress"}
    storing.kill()
    storing.start()
    with client_of(storing) as client:
        assert client.responses.retrieve(done.id).to_dict() == done.to_dict()
        failed = valid(client.responses.retrieve(made.id))
        more = client.responses.create(input="And its country?", previous_response_id=done.id, **SHORT)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "server_error"
    assert more.previous_response_id == done.id


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("streams", [False, True])
async def test_an_agent_with_two_tools_goes_on_by_id(storing: Restartable, streams: bool) -> None:
    # Imported here: it takes seconds, and no other test needs it.
    import agents

    agents.set_tracing_disabled(True)  # nothing leaves the machine
    called: list[str] = []

    @agents.function_tool
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """Tell the weather in a city."""
        called.append("get_weather")
        return f"In {city} it rains."

    @agents.function_tool
    def get_time(city: Literal["Paris", "Rome"]) -> str:
        """Tell the time in a city."""
        called.append("get_time")
        return f"In {city} it is noon."

    async def run(tool: str, question: str, previous: str | None) -> Any:
        agent: Any = agents.Agent(
            name="Guide",
            instructions="Answer from the tool's result in plain words.",
            model=agents.OpenAIResponsesModel(model="any", openai_client=client),
            tools=[get_weather, get_time],
            model_settings=agents.ModelSettings(
                tool_choice=tool, temperature=0, max_tokens=600, extra_body={"stop": EARLY_ENDS}
            ),
        )
        # The second request of a run has the result of the tool alone as its input, and so has the whole second run.
        ids: dict[str, Any] = {"previous_response_id": previous, "auto_previous_response_id": True}
        if not streams:
            return await agents.Runner.run(agent, question, **ids)
        result = agents.Runner.run_streamed(agent, question, **ids)
        kinds = [event.type async for event in result.stream_events()]
        assert "raw_response_event" in kinds
        return result

    async with openai.AsyncOpenAI(base_url=storing.url + "/v1", api_key="ann", max_retries=0, timeout=120) as client:
        first = await run("get_weather", "What is the weather in Paris?", None)
        second = await run("get_time", "And what time is it in Rome?", first.last_response_id)
        kept = [item.type async for item in client.responses.input_items.list(second.last_response_id, order="asc")]
    assert set(called) == {"get_weather", "get_time"}
    assert kept.count("function_call") == kept.count("function_call_output") == len(called)
    assert isinstance(first.final_output, str)
    assert isinstance(second.final_output, str)
