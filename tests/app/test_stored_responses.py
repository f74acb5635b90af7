"""Stored responses of a whole server: on `serve` as on the dashboard, within its options, over restarts."""

from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.chat_app import make_model, serving
from support.stored import bytes_on_disk

from obeaver.app.chat import chat_application
from obeaver.app.dashboard import dashboard_application
from obeaver.models.store import Store

PATH = "/v1/responses"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_model(Store(tmp_path), "tiny")
    return tmp_path


async def create(served: Any, **parameters: Any) -> dict[str, Any]:
    body = {"input": "Hi", "temperature": 0, "max_output_tokens": 2} | parameters
    reply = await asgi.request(served.app, "POST", PATH, data=body)
    assert reply.status == 200, reply.body
    response: dict[str, Any] = reply.json()
    return response


@pytest.mark.parametrize("make", [chat_application, dashboard_application])
async def test_a_conversation_goes_on_after_a_restart(home: Path, make: Any) -> None:
    async with serving(home, "tiny", make=make) as served:
        first = await create(served)
    async with serving(home, "tiny", make=make) as served:
        assert await served.get(f"{PATH}/{first['id']}") == first
        second = await create(served, previous_response_id=first["id"], input="Ho")
        third = await create(served, previous_response_id=second["id"], input="He")
        assert (await asgi.request(served.app, "DELETE", f"{PATH}/{first['id']}")).status == 200
        assert len((await served.get(f"{PATH}/{third['id']}/input_items"))["data"]) == 5
    # What the turn before had computed is not computed again.
    assert third["usage"]["input_tokens_details"]["cached_tokens"] >= second["usage"]["input_tokens"] - 1


async def test_a_server_that_stores_nothing_writes_nothing(home: Path) -> None:
    async with serving(home, "tiny", no_store_responses=True) as served:
        assert (await create(served))["store"] is False
    assert not (home / "responses").exists()


async def test_the_options_limit_what_is_stored(home: Path) -> None:
    # Tools that the model is not told of are stored with the response all the same.
    tools = [{"type": "function", "name": "f", "description": "heron " * 6_000}]
    async with serving(home, "tiny", stored_responses_mb=1, stored_responses_age_s=86_400) as served:
        made = [await create(served, tools=tools, tool_choice="none") for _ in range(40)]
        statuses = [(await asgi.request(served.app, "GET", f"{PATH}/{response['id']}")).status for response in made]
    num_gone = statuses.count(404)
    assert 0 < num_gone < 30
    assert statuses == [404] * num_gone + [200] * (40 - num_gone)
    assert len(bytes_on_disk(home / "responses")) <= 1_000_000


async def test_a_background_response_is_waited_for_when_the_server_stops(home: Path) -> None:
    async with serving(home, "tiny") as served:
        made = await create(served, background=True, max_output_tokens=64, ignore_eos=True)
        await served.app.drain()
    async with serving(home, "tiny") as served:
        done = await served.get(f"{PATH}/{made['id']}")
    assert (made["status"], done["status"]) == ("queued", "incomplete")
    assert done["usage"]["output_tokens"] == 64
