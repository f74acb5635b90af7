"""One server, several models: which one answers, and what the server says of them."""

from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.hosted import CHAT, hosting, streamed
from support.scraped import scraped
from support.scripted_loader import Script
from support.scripted_model import says

TOKENIZE, DETOKENIZE, COMPLETIONS = "/v1/tokenize", "/v1/detokenize", "/v1/completions"
ROUTES = [
    (CHAT, {"messages": [{"role": "user", "content": "Hi"}]}),
    (COMPLETIONS, {"prompt": "Hi"}),
    (TOKENIZE, {"prompt": "Hi"}),
    (DETOKENIZE, {"tokens": [1]}),
]


def scripts() -> dict[str, Script]:
    return {"first": Script(reply=says("I am first")), "second": Script(reply=says("I am second"))}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("asked", "answers"), [("first", "first"), ("second", "second")])
async def test_the_model_that_a_request_names_answers_it(
    tmp_path: Path, asked: str, answers: str, stream: bool
) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        reply = await served.chat(model=asked, stream=stream)
        if stream:
            assert streamed(reply) == ({answers}, f"I am {answers}")
        else:
            assert reply.json()["model"] == answers
            assert reply.json()["choices"][0]["message"]["content"] == f"I am {answers}"


@pytest.mark.parametrize("asked", [{}, {"model": ""}, {"model": None}, {"model": "gpt-4o"}, {"model": "Second"}])
async def test_the_first_model_answers_where_none_is_named(tmp_path: Path, asked: dict[str, Any]) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        assert await served.answer(**asked) == ("first", "I am first")


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_a_strict_server_answers_404_for_a_name_that_is_none_of_its_models(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    async with hosting(tmp_path, scripts(), "first", "second", strict=True) as served:
        reply = await asgi.request(served.app, "POST", path, data=body | {"model": "gpt-4o"})
        assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")
        for known in ({}, {"model": ""}, {"model": None}, {"model": "second"}):
            assert (await asgi.request(served.app, "POST", path, data=body | known)).status == 200


@pytest.mark.parametrize("strict", [False, True])
async def test_a_model_that_is_no_string_is_a_400_that_names_it(tmp_path: Path, strict: bool) -> None:
    async with hosting(tmp_path, scripts(), "first", strict=strict) as served:
        reply = await served.chat(model=["first"])
        assert (reply.status, reply.error["param"]) == (400, "model")


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_without_a_model_there_is_a_503(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async with hosting(tmp_path, scripts()) as served:
        reply = await asgi.request(served.app, "POST", path, data=body)
        assert (reply.status, reply.error["code"]) == (503, "model_not_loaded")
        assert "/api/models/load" in reply.error["message"]


async def test_all_models_are_listed_and_found_the_default_first(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "second", "first") as served:
        listed = (await served.get("/v1/models"))["data"]
        assert [model["id"] for model in listed] == ["second", "first"]
        assert [await served.get(f"/v1/models/{model['id']}") for model in listed] == listed


async def test_health_tells_of_the_default_and_of_all(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "second", "first") as served:
        health = await served.health()
        assert (health["status"], health["model"], health["engine"]) == ("ok", "second", "scripted")
        assert [(model["id"], model["status"]) for model in health["models"]] == [
            ("second", "loaded"),
            ("first", "loaded"),
        ]


async def test_health_is_503_when_any_of_the_models_is_broken(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        broken = served.host.find("second")
        assert broken is not None
        assert broken.loaded is not None
        await broken.loaded.worker.close()
        reply = await asgi.request(served.app, "GET", "/health")
        assert (reply.status, reply.json()["status"]) == (503, "unhealthy")
        assert [model["status"] for model in reply.json()["models"]] == ["loaded", "unhealthy"]


async def test_metrics_are_counted_for_each_model_by_its_name(tmp_path: Path) -> None:
    async with hosting(tmp_path, scripts(), "first", "second") as served:
        for model in ("first", "second", "second"):
            await served.answer(model=model)
        read = scraped(await asgi.request(served.app, "GET", "/metrics"))
        success = [
            read("vllm:request_success_total", model_name=model, finished_reason="stop")
            for model in ("first", "second")
        ]
        assert success == [1, 2]
        assert read("obeaver_model_in_memory", model_name="second") == 1
