"""`/api/chat`, `/api/generate` and their kin: Ollama's words for what the core says."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi, contract
from support.scripted_model import CONTEXT_LENGTH, TEMPLATE_WITH_TOOLS, ids_of, says

from obeaver.api.core.answer_form import JsonForm
from obeaver.api.core.conversation import (
    AssistantMessage,
    Call,
    Reasoning,
    SystemMessage,
    ToolResult,
    UserMessage,
    text_parts,
)
from obeaver.api.core.sampling import sampling_of
from obeaver.api.ollama.requests import parse_chat, parse_generate
from obeaver.api.ollama.sampling import NO_LIMIT

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_requests.json").read_text("utf-8"))
HI = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
CALL = 'Let me see.<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
OF_ITS_OWN = {"created_at", "total_duration", "prompt_eval_duration", "eval_duration"}


async def whole(served: Any, path: str = "/api/chat", **parameters: Any) -> dict[str, Any]:
    given = {"messages": HI} if path == "/api/chat" else {"prompt": "Hi"}
    reply = await served.post(path, **({"model": "m", "stream": False} | given | parameters))
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    contract.check("OllamaChat" if path == "/api/chat" else "OllamaGenerate", answer)
    return answer


async def lines(served: Any, path: str = "/api/chat", **parameters: Any) -> list[dict[str, Any]]:
    given = {"messages": HI} if path == "/api/chat" else {"prompt": "Hi"}
    reply = await served.post(path, **({"model": "m"} | given | parameters))
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.body.endswith(b"\n")
    found = [json.loads(line) for line in reply.body.splitlines()]
    for line in found:
        contract.check("OllamaChat" if path == "/api/chat" else "OllamaGenerate", line)
    assert [line["done"] for line in found] == [False] * (len(found) - 1) + [True]
    return found


def joined(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What the lines of a chat add up to."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for line in found:
        for name, value in line["message"].items():
            if name != "role":
                message[name] = message.get(name, type(value)()) + value
    return found[-1] | {"message": message}


def lasting(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what no two answers have alike."""
    text = json.dumps({name: value for name, value in answer.items() if name not in OF_ITS_OWN})
    told: dict[str, Any] = json.loads(text)
    for call in told["message"].get("tool_calls", ()):
        call["id"] = ""
    return told


@pytest.mark.parametrize(
    ("reply", "parameters", "message", "reason"),
    [
        ("Hello", {}, {"content": "Hello"}, "stop"),
        ("Hello", {"options": {"num_predict": 3}}, {"content": "Hel"}, "length"),
        ("one, two", {"options": {"stop": ", "}}, {"content": "one"}, "stop"),
        ("", {}, {"content": ""}, "stop"),
        ("<think>Hm.</think>Yes.", {}, {"content": "Yes.", "thinking": "Hm."}, "stop"),
        (
            CALL,
            {"tools": TOOLS},
            {
                "content": "Let me see.",
                "tool_calls": [{"id": "", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}],
            },
            "stop",
        ),
    ],
    ids=["text", "limit", "stop", "nothing", "thinking", "a call"],
)
async def test_lines_and_whole_answers_say_the_same(
    reply: str, parameters: dict[str, Any], message: dict[str, Any], reason: str, serve: Any
) -> None:
    async with serve(says(reply), template=TEMPLATE_WITH_TOOLS) as served:
        at_once = lasting(await whole(served, **parameters))
        in_lines = lasting(joined(await lines(served, **parameters)))
    assert at_once == in_lines
    assert at_once["message"] == {"role": "assistant", **message}
    assert (at_once["model"], at_once["done_reason"]) == ("scripted:latest", reason)
    assert at_once["prompt_eval_count"] > 0


async def test_a_prompt_is_answered_as_a_conversation_is(serve: Any) -> None:
    seen: list[str] = []

    def reply(prompt: str) -> list[int]:
        seen.append(prompt)
        return ids_of("<think>Hm.</think>Yes.")

    async with serve(reply) as served:
        generated = await whole(served, "/api/generate", system="Be brief.")
        in_lines = await lines(served, "/api/generate", system="Be brief.")
        await whole(served, messages=[{"role": "system", "content": "Be brief."}, *HI])
    assert (generated["response"], generated["thinking"]) == ("Yes.", "Hm.")
    assert "".join(line["response"] for line in in_lines) == "Yes."
    assert "".join(line.get("thinking", "") for line in in_lines) == "Hm."
    assert len(set(seen)) == 1


async def test_a_raw_prompt_has_no_template(serve: Any) -> None:
    seen: list[str] = []

    def reply(prompt: str) -> list[int]:
        seen.append(prompt)
        return ids_of("!")

    async with serve(reply) as served:
        assert (await whole(served, "/api/generate", raw=True))["response"] == "!"
    assert seen == ["Hi"]


@pytest.mark.parametrize(("path", "nothing"), [("/api/chat", {"messages": []}), ("/api/generate", {"prompt": ""})])
async def test_who_asks_nothing_has_the_model_loaded(path: str, nothing: dict[str, Any], serve: Any) -> None:
    async with serve() as served:
        answer = await whole(served, path, **nothing)
    assert (answer["done"], answer["done_reason"], answer["eval_count"]) == (True, "load", 0)


def test_messages_become_the_cores() -> None:
    asked = parse_chat(
        {
            "model": "name:latest",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather?", "images": []},
                {
                    "role": "assistant",
                    "thinking": "Hm.",
                    "tool_calls": [
                        {"function": {"name": "f", "arguments": {"a": "ü"}}},
                        {"id": "own", "function": {"name": "g"}},
                    ],
                },
                {"role": "tool", "content": "1", "tool_name": "f"},
                {"role": "tool", "content": "2", "name": "g"},
                {"role": "tool", "content": "3", "tool_call_id": "own"},
            ],
            "tools": TOOLS,
            "think": "low",
            "format": "json",
        }
    )
    conversation = asked.conversation
    assert conversation is not None
    assert asked.model == "name"
    assert conversation.messages == (
        SystemMessage(text_parts("Be brief.")),
        UserMessage(text_parts("Weather?")),
        AssistantMessage((), "Hm.", (Call("call_0", "f", '{"a": "ü"}'), Call("own", "g", "{}"))),
        ToolResult("call_0", text_parts("1"), "f"),
        ToolResult("own", text_parts("2"), "g"),
        ToolResult("own", text_parts("3")),
    )
    assert [tool.name for tool in conversation.tools.offered] == ["get_weather"]
    assert conversation.reasoning == Reasoning("low", enabled=True)
    assert conversation.form == JsonForm({"type": "object"}, at="format", schema_at="format")


def test_options_become_sampling() -> None:
    options = {
        "num_predict": 7,
        "temperature": 0.1,
        "top_k": 3,
        "top_p": 0.5,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "seed": 4,
        "stop": ["a", "b"],
        "mirostat": 2,
    }
    renamed = {name: value for name, value in options.items() if name not in {"repeat_penalty", "num_predict"}}
    asked = parse_generate({"model": "m", "prompt": "Hi", "options": options})
    assert asked.sampling == sampling_of({**renamed, "repetition_penalty": 1.1}, max_tokens=7)


@pytest.mark.parametrize("options", [None, {}, {"num_predict": -1}, {"num_predict": -2}, {"num_predict": 0}])
def test_without_a_limit_the_context_is_the_limit(options: dict[str, Any] | None) -> None:
    assert parse_generate({"model": "m", "prompt": "Hi", "options": options}).sampling == sampling_of(
        {}, max_tokens=NO_LIMIT
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_body_gets_its_error_and_the_next_request_its_answer(row: dict[str, Any], serve: Any) -> None:
    body = row["raw"].encode() if "raw" in row else json.dumps(row["body"]).encode()
    async with serve() as served:
        reply = await asgi.request(
            served.app, "POST", row["path"], body=body, headers={"content-type": "application/json"}
        )
        error = reply.json()
        assert reply.status == row["status"]
        assert list(error) == ["error"]
        # There is no field for the parameter at fault: the words name it, or say that there is no object to have one.
        assert ("`" in error["error"]) == ("raw" not in row and row["status"] == 400)
        contract.check("OllamaError", error)
        assert (await whole(served))["message"]["content"] == "Hello"


async def test_errors_of_its_paths_have_ollamas_shape(serve: Any) -> None:
    async with serve() as served:
        method = await asgi.request(served.app, "GET", "/api/chat")
        long = await served.post("/api/chat", model="m", messages=[{"role": "user", "content": "x" * CONTEXT_LENGTH}])
    for reply, status in ((method, 405), (long, 400)):
        assert reply.status == status
        assert list(reply.json()) == ["error"]
    assert "maximum context length" in long.json()["error"]


async def test_a_stream_that_fails_ends_with_its_error(serve: Any) -> None:
    async with serve(says("Hello"), fails=lambda num_runs: num_runs == 4) as served:
        reply = await served.post("/api/chat", model="m", messages=HI)
    assert list(json.loads(reply.body.splitlines()[-1])) == ["error"]


async def test_models_are_told_with_their_tag(serve: Any) -> None:
    async with serve() as served:
        tags = (await served.get("/api/tags")).json()
        running = (await served.get("/api/ps")).json()
        shown = (await served.post("/api/show", model="scripted:latest")).json()
        version = (await served.get("/api/version")).json()
    contract.check("OllamaTags", tags)
    contract.check("OllamaPs", running)
    contract.check("OllamaShow", shown)
    contract.check("OllamaVersion", version)
    assert [model["name"] for model in tags["models"]] == ["scripted:latest"]
    assert [model["name"] for model in running["models"]] == ["scripted:latest"]
    assert shown["capabilities"][0] == "completion"
    assert shown["template"]


@pytest.mark.parametrize("path", ["/api/embed", "/api/copy", "/api/blobs/sha256:1"])
async def test_what_is_not_here_is_told_as_ollama_tells_it(path: str, serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(path, model="m")
    assert reply.status == 404
    assert "no such path" in reply.json()["error"]


async def test_a_format_of_another_name_is_told_what_a_format_is(serve: Any) -> None:
    async with serve() as served:
        reply = await served.post("/api/chat", model="m", messages=HI, format="xml")
    assert reply.json()["error"] == '`format` must be "json" or a JSON Schema.'
