"""`GET /api/engine`: the engines while they work."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from support import asgi
from support.contract import check
from support.event_stream import read_json_events
from support.hosted import hosting, until
from support.scripted_loader import Script
from support.scripted_model import BYTES_PER_TOKEN, CONTEXT_LENGTH, SLOW_STEP_S, says

LONG = "a" * 2000


async def test_an_idle_engine_is_told_of_whole(serve: Any) -> None:
    async with serve() as served:
        await served.answer()
        told = (await served.get("/api/engine")).json()
    check("Engines", told)
    (model,) = told["models"]
    num_prompt = model["totals"]["prompt_tokens"]
    assert told["requests"] == []
    assert model == {
        "id": "scripted",
        "status": "loaded",
        "engine": "scripted",
        "max_rows": 8,
        "running": [],
        "waiting": {"sequences": 0, "tokens": 0},
        "kv": {"budget_bytes": 8 * CONTEXT_LENGTH * BYTES_PER_TOKEN, "used_bytes": model["kv"]["used_bytes"]},
        "prefix_cache": {
            "budget_bytes": 0,
            "used_bytes": 0,
            "entries": 0,
            "asked_tokens": num_prompt,
            "hit_tokens": 0,
        },
        "lookahead": {"guessed_tokens": 0, "hit_tokens": 0},
        "tokens_per_s": {"prefill": None, "decode": None},
        "totals": {
            "steps": model["totals"]["steps"],
            "prompt_tokens": num_prompt,
            "cached_tokens": 0,
            "generated_tokens": len("Hello") + 1,
            "finished": {"stop": 1, "length": 0, "aborted": 0, "failed": 0},
        },
    }


async def test_running_and_waiting_sequences_are_told_apart(tmp_path: Path) -> None:
    gate = threading.Event()
    held = Script(reply=says(LONG), fails=lambda runs: runs > 5 and not gate.wait(60), options={"max_rows": 1})
    async with (
        hosting(tmp_path, {"model": held}, "model") as served,
        served.streaming() as (first, _),
        served.streaming(n=2),
    ):
        await first.chunk(1)
        await until(lambda: served.host.in_memory[0].worker.snapshot().num_waiting == 2)
        told = await served.get("/api/engine")
        gate.set()
    check("Engines", told)
    (model,) = told["models"]
    (row,) = model["running"]
    assert (row["id"], row["phase"], row["prompt_tokens"]) == (1, "decode", row["prefilled_tokens"])
    assert row["answer_tokens"] >= 1
    assert row["seconds"] >= 0
    assert model["waiting"] == {"sequences": 2, "tokens": 2 * row["prompt_tokens"]}


async def test_a_model_that_is_not_in_memory_is_told_of_without_an_engine(tmp_path: Path) -> None:
    async with hosting(tmp_path, {"model": Script()}, "model", keep_alive_s=0.01) as served:
        await until(lambda: served.loader.released == ["model"])
        told = await served.get("/api/engine")
        check("Engines", told)
        assert told["models"] == [{"id": "model", "status": "unloaded", "engine": None}]


async def test_without_models_there_is_nothing_to_tell(tmp_path: Path) -> None:
    async with hosting(tmp_path, {}) as served:
        assert (await served.get("/api/engine"))["models"] == []


async def test_a_model_that_was_replaced_is_told_of_until_its_last_answer_ends(tmp_path: Path) -> None:
    gate = threading.Event()
    scripts = {"old": Script(reply=says(LONG), fails=lambda runs: runs > 5 and not gate.wait(60)), "new": Script()}
    async with hosting(tmp_path, scripts, "old") as served:
        async with served.streaming() as (exchange, task):
            await exchange.chunk(1)
            assert (await served.load("new")).status == 200
            models = (await served.get("/api/engine"))["models"]
            assert [(model["id"], model["status"]) for model in models] == [("new", "loaded"), ("old", "leaving")]
            gate.set()
            await task
        await until(lambda: served.loader.released == ["old"])
        async with asyncio.timeout(60):  # its memory is given back first, and then it is forgotten
            while [model["id"] for model in (await served.get("/api/engine"))["models"]] != ["new"]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_the_stream_shows_an_answer_being_made(serve: Any) -> None:
    async with serve(says(LONG), step_s=SLOW_STEP_S) as served:
        scope = asgi.http_scope("GET", "/api/engine", headers={"accept": "text/event-stream"})
        async with asgi.exchange(served.app, scope) as (watched, _):
            first = await watched.chunk(0)
            answer = asyncio.create_task(served.answer(max_tokens=400))
            events = [first]
            while not any(row["answer_tokens"] for row in running(events[-1])):
                events.append(await watched.chunk(len(events)))
            answer.cancel()
    assert watched.reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    for event in events:
        check("Engines", told(event))
    assert running(events[0]) == []
    assert told(events[-1])["models"][0]["tokens_per_s"]["decode"] is not None


async def test_the_stream_ends_when_the_server_drains(tmp_path: Path) -> None:
    async with hosting(tmp_path, {"model": Script()}, "model") as served:
        scope = asgi.http_scope("GET", "/api/engine", query="stream=true")
        async with asgi.exchange(served.app, scope) as (watched, task):
            await watched.chunk(0)
            served.host.drain()
            async with asyncio.timeout(60):
                await task
        assert watched.reply.complete


async def test_a_stream_that_is_neither_wanted_nor_not_is_an_error(serve: Any) -> None:
    async with serve() as served:
        reply = await served.get("/api/engine?stream=maybe")
        assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "stream", "invalid_value")
        scope = asgi.http_scope("GET", "/api/engine", headers={"accept": "text/event-stream"}, query="stream=false")
        assert (await asgi.call(served.app, scope)).headers["content-type"] == "application/json"


async def test_the_log_has_what_was_asked_and_what_it_took_but_nothing_that_was_said(tmp_path: Path) -> None:
    async with hosting(tmp_path, {"model": Script(reply=says("Hello"))}, "model") as served:
        app = served.app
        body = {"messages": [{"role": "user", "content": "my secret"}], "temperature": 0}
        plain = await asgi.request(
            app, "POST", "/v1/chat/completions?key=hidden", data=body, headers={"x-request-id": "mine"}
        )
        await asgi.request(app, "POST", "/v1/chat/completions", data=body | {"stream": True})
        await asgi.request(app, "POST", "/v1/completions", data={"prompt": "my secret", "max_tokens": 3})
        await asgi.request(app, "GET", "/nowhere")
        reply = await asgi.request(app, "GET", "/api/engine")
    told = reply.json()
    check("Engines", told)
    assert b"secret" not in reply.body
    assert b"hidden" not in reply.body
    rows = [(row["method"], row["path"], row["status"], row["answer_tokens"]) for row in told["requests"]]
    assert rows == [
        ("POST", "/v1/chat/completions", 200, 6),
        ("POST", "/v1/chat/completions", 200, 6),
        ("POST", "/v1/completions", 200, 3),
        ("GET", "/nowhere", 404, None),
    ]
    assert [row["number"] for row in told["requests"]] == [1, 2, 3, 4]
    assert told["requests"][0]["id"] == "mine"
    assert told["requests"][0]["prompt_tokens"] == plain.json()["usage"]["prompt_tokens"]
    assert all(row["complete"] and row["seconds"] >= 0 for row in told["requests"])


def told(event: bytes) -> dict[str, Any]:
    data: dict[str, Any]
    (data,) = read_json_events(event)
    return data


def running(event: bytes) -> list[dict[str, Any]]:
    (model,) = told(event)["models"]
    rows: list[dict[str, Any]] = model["running"]
    return rows
