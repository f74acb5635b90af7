"""What the server says about itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.contract import check
from support.hosted import hosting, until
from support.scripted_loader import Script
from support.scripted_model import BYTES_PER_TOKEN, CONTEXT_LENGTH, SLOW_STEP_S, says

from obeaver import __version__
from obeaver.api.routes import SERVE
from obeaver.api.system.condition import active_devices
from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits
from obeaver.engine.sessions.placement import Placement


async def test_the_root_lists_every_endpoint(serve: Any) -> None:
    async with serve() as served:
        root = (await served.get("/")).json()
    check("Root", root)
    assert (root["name"], root["version"], root["docs"]) == ("obeaver", __version__, "/docs")
    assert len(root["endpoints"]) == len(SERVE)
    assert {"POST /v1/chat/completions", "GET /v1/models/{id}", "GET /health"} <= set(root["endpoints"])


async def test_every_get_endpoint_answers(serve: Any, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "responses.sqlite3", Limits(10_000_000, 0))
    async with serve(archive=archive) as served:
        stored = (await served.post("/v1/responses", input="Hi")).json()["id"]
        for operation in SERVE:
            if operation.method == "GET" and operation.id != "showPull":  # there is none
                reply = await served.get(operation.path.replace("{id:path}", "scripted").replace("{id}", stored))
                assert reply.status == 200
                assert reply.headers["content-type"].startswith(operation.media_type)
                assert "x-request-id" in reply.headers


async def test_unknown_paths_and_methods_are_openai_errors(serve: Any) -> None:
    async with serve() as served:
        unknown = await served.get("/v1/embeddings")
        wrong = await served.get("/v1/chat/completions")
    assert (unknown.status, unknown.error["code"]) == (404, "not_found")
    assert (wrong.status, wrong.error["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]


async def test_health_tells_of_model_engine_and_memory(serve: Any) -> None:
    async with serve() as served:
        await served.answer()
        reply = await served.get("/health")
    health = reply.json()
    check("Health", health)
    assert reply.status == 200
    assert health == {
        "status": "ok",
        "model": "scripted",
        "engine": "scripted",
        "engine_reason": "the test wants it",
        "chat_template": True,
        "provider": "cpu",
        "provider_nodes": {},
        "num_running": 0,
        "num_waiting": 0,
        "max_rows": 8,
        "requests_aborted": 0,
        "kv_budget_bytes": 8 * CONTEXT_LENGTH * BYTES_PER_TOKEN,
        "kv_used_bytes": health["kv_used_bytes"],
        "prefix_cache_bytes": 0,
        "models": [{"id": "scripted", "status": "loaded", "engine": "scripted", "num_running": 0, "num_waiting": 0}],
        "load": None,
        "leaving": [],
    }


async def test_health_is_503_while_requests_are_not_answered(serve: Any) -> None:
    async with serve() as served:
        served.state.models.draining = True
        reply = await served.get("/health")
        assert (reply.status, reply.json()["status"]) == (503, "draining")
        served.state.models.draining = False
        await served.worker.close()
        reply = await served.get("/health")
        assert (reply.status, reply.json()["status"]) == (503, "unhealthy")


async def probes(app: Any) -> dict[str, tuple[int | None, str]]:
    replies = {path: await asgi.request(app, "GET", f"/health/{path}") for path in ("live", "ready")}
    for reply in replies.values():
        check("Probe", reply.json())
    return {path: (reply.status, reply.json()["status"]) for path, reply in replies.items()}


async def test_a_server_that_drains_is_alive_and_one_whose_engine_is_dead_is_not(serve: Any) -> None:
    async with serve() as served:
        assert await probes(served.app) == {"live": (200, "ok"), "ready": (200, "ok")}
        served.state.models.draining = True
        assert await probes(served.app) == {"live": (200, "draining"), "ready": (503, "draining")}
        served.state.models.draining = False
        await served.worker.close()
        assert await probes(served.app) == {"live": (503, "unhealthy"), "ready": (503, "unhealthy")}


async def test_health_is_503_while_the_first_model_is_on_its_way(tmp_path: Path) -> None:
    script = Script(gate=asyncio.Event())
    async with hosting(tmp_path, {"slow": script}) as served:
        stored = served.store.find("slow")
        assert stored is not None
        holding = asyncio.create_task(served.host.hold(stored))
        await until(lambda: script.num_loads == 1)
        reply = await asgi.request(served.app, "GET", "/health")
        assert (reply.status, reply.json()["status"], reply.json()["engine"]) == (503, "loading", None)
        script.gate.set()
        await holding
        assert (await asgi.request(served.app, "GET", "/health")).status == 200


async def test_a_server_that_holds_no_model_is_well(tmp_path: Path) -> None:
    async with hosting(tmp_path, {}) as served:
        reply = await asgi.request(served.app, "GET", "/health")
        check("Health", reply.json())
        assert reply.status == 200
        assert reply.json() == {
            "status": "ok",
            "model": None,
            "engine": None,
            "models": [],
            "load": None,
            "leaving": [],
        }
        assert (await served.get("/v1/models")) == {"object": "list", "data": []}
        assert active_devices(served.host.in_memory) == frozenset()
        assert "model_name=" not in (await asgi.request(served.app, "GET", "/metrics")).body.decode()


async def test_memory_is_told_for_every_kind_of_device(serve: Any) -> None:
    async with serve() as served:
        reply = await served.get("/api/system/memory")
    check("SystemMemory", reply.json())
    assert reply.json()["cpu"]["status"] == "idle"
    assert reply.json()["gpu"]["status"] == "unavailable"


async def test_health_and_metrics_tell_what_the_provider_took_of_the_model(serve: Any) -> None:
    async with serve(placement=Placement("openvino", "cpu", 310, {"GroupQueryAttention": 30})) as served:
        health = (await served.get("/health")).json()
        metrics = (await served.get("/metrics")).body.decode()
    check("Health", health)
    assert (health["provider"], health["provider_nodes"]) == ("openvino", {"openvino": 280, "cpu": 30})
    assert f'obeaver_info{{model="scripted",provider="openvino",version="{__version__}"}} 1.0' in metrics


@pytest.mark.parametrize(("provider", "device"), [("cpu", "cpu"), ("cuda", "gpu"), ("qnn", "npu")])
async def test_the_device_of_the_models_provider_is_active_while_it_computes(
    serve: Any, provider: str, device: str
) -> None:
    async with serve(says("x" * 3900), step_s=SLOW_STEP_S, placement=Placement(provider, device)) as served:
        model = served.state.models.model
        assert active_devices([model]) == set()
        asking = asyncio.create_task(served.chat(max_tokens=4000))
        async with asyncio.timeout(60):
            while not served.worker.snapshot().num_running:  # noqa: ASYNC110  # another thread counts
                await asyncio.sleep(0.001)
        assert active_devices([model]) == {device}
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_the_model_is_listed_and_found_by_its_id(serve: Any) -> None:
    expected = {
        "id": "scripted",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "obeaver",
        "context_length": CONTEXT_LENGTH,
        "max_model_len": CONTEXT_LENGTH,
    }
    async with serve() as served:
        assert (await served.get("/v1/models")).json() == {"object": "list", "data": [expected]}
        assert (await served.get("/v1/models/scripted")).json() == expected
        for other in ("/v1/models/gpt-4o", "/v1/models/org/name"):
            reply = await served.get(other)
            assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")


async def test_the_docs_show_the_address_that_was_asked(serve: Any) -> None:
    async with serve() as served:
        page = await asgi.request(served.app, "GET", "/docs", headers={"host": "beaver.local:18000"})
        document = (await served.get("/openapi.json")).json()
    assert "curl -s http://beaver.local:18000/health" in page.body.decode()
    assert document["info"] == {"title": "obeaver", "version": __version__}
