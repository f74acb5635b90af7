"""The npm clients of OpenAI, Anthropic and Ollama, in programs of their own, against a real server and a real model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from support import node_program
from support.restartable import Restartable
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

PACKAGES = ("openai", "zod", "@anthropic-ai/sdk", "ollama")
PROGRAM = Path(__file__).with_name("node_clients.mjs")
MODEL = "smollm2-135m"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

Told = Callable[..., Any]


@pytest.fixture(scope="module")
def told(storing: Restartable) -> Told:
    """What a client made of the server's answers in a task of the program."""
    folder = node_program.packages(PACKAGES, "obeaver-node-sdks")

    def tell(task: str, **more: str) -> Any:
        given = {"url": storing.url, "key": "ann", "model": MODEL} | more
        return node_program.run(PROGRAM, str(folder), task, json.dumps(given))

    return tell


def test_openais_client_speaks_responses(told: Told) -> None:
    found = told("openai")
    whole = Response.model_validate(found["whole"])
    assert whole.status == "incomplete"
    for events in found["events"].values():
        for number, event in enumerate(events):
            assert EVENT.validate_python(event).sequence_number == number
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        assert events[-1]["type"] == "response.incomplete"
        deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        assert deltas == whole.output_text == events[-1]["response"]["output"][0]["content"][0]["text"]
    assert found["parsed"] == {"status": "completed", "valid": True}
    loop = found["loop"]
    assert {call["name"] for call in loop["calls"]} == {"get_weather"}
    assert all(json.loads(call["arguments"])["city"] in {"Paris", "Rome"} for call in loop["calls"])
    assert loop["items"] == 1
    assert Response.model_validate(loop["told"]).output
    assert found["background"] == ["queued", "cancelled", "cancelled"]
    assert (found["gone"]["isOwn"], found["gone"]["status"]) == (True, 404)
    assert (found["refused"]["isOwn"], found["refused"]["status"]) == (True, 400)


def test_a_conversation_of_openais_client_outlives_its_server(told: Told, storing: Restartable) -> None:
    first = told("begin")
    storing.stop()
    storing.start()
    found = told("goOn", previous=first["id"])
    assert found["roles"] == ["user", "assistant", "user", "assistant", "user"]
    second, third = found["second"], found["third"]
    assert third["previous_response_id"] == second["id"]
    assert third["usage"]["input_tokens_details"]["cached_tokens"] >= second["usage"]["input_tokens"] - 1


def test_anthropics_client_speaks_messages(told: Told) -> None:
    found = told("anthropic")
    texts = ["".join(block["text"] for block in found[name]["content"]) for name in ("whole", "streamed")]
    assert texts == [found["deltas"]] * 2
    assert found["whole"]["usage"]["output_tokens"] == found["streamed"]["usage"]["output_tokens"] == 24
    loop = found["loop"]
    assert (loop["stop"], loop["call"]["name"]) == ("tool_use", "get_weather")
    assert loop["call"]["input"]["city"] in {"Paris", "Rome"}
    assert loop["counted"] == loop["used"]
    assert loop["said"]
    assert (found["refused"]["isOwn"], found["refused"]["status"]) == (True, 400)
    assert (found["unknown"]["isOwn"], found["unknown"]["status"]) == (True, 401)


def test_ollamas_client_speaks_its_own(told: Told, embedder: ServerProcess) -> None:
    found = told("ollama", embedUrl=embedder.url)
    chat, generate = found["chat"]["message"]["content"], found["generate"]["response"]
    assert chat == generate == "".join(part["message"]["content"] for part in found["chatParts"])
    assert generate == "".join(part["response"] for part in found["generateParts"])
    assert {(found[name]["done_reason"], found[name]["eval_count"]) for name in ("chat", "generate")} == {
        ("length", 24)
    }
    assert found["chatParts"][-1]["done"] is found["generateParts"][-1]["done"] is True
    assert found["told"] > found["asked"]
    assert json.loads(found["formed"])["city"] in {"Paris", "Rome"}
    assert found["running"] == [f"{MODEL}:latest"]
    assert f"{MODEL}:latest" in found["listed"]
    assert "completion" in found["capabilities"]
    assert [round(sum(x * x for x in vector), 3) for vector in found["vectors"]] == [1, 1]
    assert found["refused"]["status"] == 400
    assert "num_ctx" in found["refused"]["message"]
    assert found["unknown"]["status"] == 404
