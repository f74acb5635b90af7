"""`/api/models/pull`: a server that fetches models for its clients, from a stand-in hub, in a process of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import asgi
from support.chat_app import ServedChat, serving
from support.contract import check
from support.disk import bytes_below
from support.event_stream import read_json_events
from support.hub_server import HubServer, Repo

EXPORT = Path(__file__).parent.parent / "data" / "builder_exports" / "llama_int4"
LARGE = "model.onnx.data"
ADDRESS = "hf:Org/Tiny-ONNX"
PULL = "/api/models/pull"


@pytest.fixture
def repo(hub: HubServer) -> Repo:
    files = {path.name: path.read_bytes() for path in EXPORT.iterdir()}
    files["chat_template.jinja"] = b"{% for message in messages %}{{ message.content }}{% endfor %}"
    hub.repos["Org/Tiny-ONNX"] = Repo(files)
    return hub.repos["Org/Tiny-ONNX"]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedChat]:
    async with serving(tmp_path / "home", allow_pull=True) as running:
        yield running


async def pull(served: ServedChat, model: str = ADDRESS, **further: Any) -> asgi.Reply:
    return await asgi.request(served.app, "POST", PULL, data={"model": model, **further})


async def ended(served: ServedChat, job: dict[str, Any]) -> dict[str, Any]:
    """The pull, once it is over."""
    async with asyncio.timeout(120):
        while True:
            told: dict[str, Any] = await served.get(f"{PULL}/{job['id']}")
            check("Pull", told)
            if told["status"] != "running":
                return told
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  # another process is at work
            await asyncio.sleep(0.01)


async def test_a_client_pulls_a_model_of_the_hub_and_can_load_it(served: ServedChat, repo: Repo) -> None:
    reply = await pull(served, name="Mine")
    check("Pull", reply.json())
    assert (reply.status, reply.json()["status"], reply.json()["asked"]) == (202, "running", ADDRESS)
    told = await ended(served, reply.json())
    assert (told["status"], told["model"], told["error"]) == ("done", "mine", None)
    assert told["done"] == told["total"]
    assert [row["alias"] for row in (await served.get("/api/models/available"))["models"]] == ["mine"]
    assert (await served.load(alias="mine")).status == 200
    listed = await served.get(PULL)
    check("Pulls", listed)
    assert (listed["allowed"], [job["id"] for job in listed["pulls"]]) == (True, [told["id"]])


async def test_progress_comes_as_events_to_the_end(served: ServedChat, repo: Repo, hub: HubServer) -> None:
    reply = await asgi.request(
        served.app, "POST", PULL + "?stream=true", data={"model": ADDRESS}, headers={"content-type": "application/json"}
    )
    events = read_json_events(reply.body)
    for event in events:
        check("Pull", event)
    assert events[-1]["status"] == "done"
    assert all(event["status"] == "running" for event in events[:-1])
    assert {event["stage"] for event in events} > {""}
    assert events[-1]["total"] == sum(map(len, repo.files.values()))


async def test_a_pull_that_is_cancelled_ends_at_once_and_the_next_one_goes_on_where_it_stopped(
    served: ServedChat, repo: Repo, hub: HubServer, tmp_path: Path
) -> None:
    hub.gate.clear()
    job = (await pull(served)).json()
    await until(lambda: bytes_below(tmp_path / "home" / "downloads", f"*{LARGE}.part") > 0)
    again = await pull(served)
    assert (again.status, again.error["code"]) == (409, "pull_in_progress")
    told = (await asgi.request(served.app, "POST", f"{PULL}/{job['id']}/cancel")).json()
    check("Pull", told)
    assert (told["status"], told["model"], told["error"]) == ("cancelled", None, None)
    assert list(served.store.names()) == []
    hub.gate.set()
    hub.seen.clear()
    assert (await ended(served, (await pull(served)).json()))["status"] == "done"
    assert [seen for seen in hub.gets(LARGE) if "range" in seen.headers]
    # It is over: there is nothing left to cancel.
    assert (await asgi.request(served.app, "POST", f"{PULL}/{job['id']}/cancel")).json()["status"] == "cancelled"


async def test_a_pull_that_fails_says_why_without_this_machines_paths(served: ServedChat, hub: HubServer) -> None:
    told = await ended(served, (await pull(served, "hf:Org/Nothing")).json())
    assert (told["status"], told["model"]) == ("failed", None)
    assert "Org/Nothing" in told["error"]
    assert str(served.store.home) not in told["error"]
    assert (await pull(served, "hf:Org/Nothing")).status == 202  # the next one may begin


async def test_a_server_that_shuts_down_leaves_no_pull_behind(tmp_path: Path, repo: Repo, hub: HubServer) -> None:
    hub.gate.clear()
    async with serving(tmp_path / "home", allow_pull=True) as served:
        await pull(served)
        await until(lambda: bytes_below(tmp_path / "home" / "downloads", "*.part") > 0)
        children = [child for child in psutil.Process().children(recursive=True) if "pull" in child.cmdline()]
        assert children
    await until(lambda: not any(map(psutil.Process.is_running, children)))


@pytest.mark.parametrize(("allow_pull", "offline"), [(False, False), (True, True)])
async def test_a_server_that_was_not_told_so_pulls_nothing(
    tmp_path: Path, repo: Repo, hub: HubServer, allow_pull: bool, offline: bool
) -> None:
    async with serving(tmp_path / "home", allow_pull=allow_pull, offline=offline) as served:
        reply = await pull(served)
        assert (reply.status, reply.error["code"]) == (403, "pull_not_allowed")
        assert "--allow-pull" in reply.error["message"]
        assert await served.get(PULL) == {"allowed": False, "pulls": []}
        assert (await served.get("/api/models/catalog"))["can_pull"] is False
    assert hub.seen == []


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({}, 400, "model", "missing_required_parameter"),
        ({"model": 7}, 400, "model", "invalid_type"),
        ({"model": "no-such-model"}, 404, "model", "model_not_found"),
        ({"model": "/etc/passwd"}, 404, "model", "model_not_found"),
        ({"model": "../model.gguf"}, 404, "model", "model_not_found"),
        ({"model": "--help"}, 404, "model", "model_not_found"),
        ({"model": "https://example.org/model.gguf"}, 404, "model", "model_not_found"),
        ({"model": "http://127.0.0.1:9/model.gguf"}, 404, "model", "model_not_found"),
        ({"model": "hf:"}, 400, "model", "invalid_value"),
        ({"model": "hf:../x"}, 400, "model", "invalid_value"),
        ({"model": "hf:Org/Model", "name": "../x"}, 400, "name", "invalid_value"),
        ({"model": "hf:Org/Model", "name": "--json"}, 400, "name", "invalid_value"),
        ({"model": "smollm2-135m", "name": "mine"}, 400, "name", "invalid_value"),
        ({"model": "smollm2-135m", "weights": "int2"}, 400, "weights", "unknown_value"),
    ],
)
async def test_only_the_catalogue_and_the_hub_can_be_asked_for(
    served: ServedChat, body: object, status: int, param: str, code: str
) -> None:
    reply = await asgi.request(served.app, "POST", PULL, data=body)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (status, param, code)
    assert (await served.get(PULL))["pulls"] == []


async def test_a_pull_that_nobody_knows_is_not_found(served: ServedChat) -> None:
    for method, path in (("GET", f"{PULL}/pull_9"), ("POST", f"{PULL}/pull_9/cancel")):
        reply = await asgi.request(served.app, method, path)
        assert (reply.status, reply.error["code"]) == (404, "pull_not_found")


async def test_a_command_that_cannot_be_started_is_a_pull_that_failed() -> None:
    from obeaver.api.models.pull_job import PullJob

    job = PullJob("pull_1", "x", [os.devnull + "/none"], lambda: 0.0)
    await job.run()
    assert (job.state.status, job.state.error) == ("failed", "it could not be started: Not a directory")
