"""Responses in the background: looked at, listened to, cancelled, and told as failed when their server is gone."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi, contract
from support.event_stream import read_json_events
from support.scripted_model import HELLO, says

from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits
from obeaver.web.access import ApiKey

PATH = "/v1/responses"
ENDLESS: dict[str, Any] = {"max_output_tokens": 4000, "ignore_eos": True}
SLOW: dict[str, Any] = {"step_s": 0.01}


def babble(_prompt: str) -> None:
    """Letters at random, to the limit."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "responses" / "responses.sqlite3"


@pytest.fixture
def stored(serve: Any, path: Path) -> Any:
    def serving(reply: Any = HELLO, **options: Any) -> Any:
        return serve(reply, archive=Archive(path, Limits(10_000_000, 0)), **options)

    return serving


async def create(served: Any, **parameters: Any) -> dict[str, Any]:
    reply = await served.post(PATH, **{"input": "Hi", "temperature": 0, "background": True} | parameters)
    assert reply.status == 200, reply.body
    made: dict[str, Any] = reply.json()
    contract.check("Response", made)
    assert (made["background"], made["store"]) == (True, True)
    return made


async def look(served: Any, made: dict[str, Any]) -> dict[str, Any]:
    reply = await served.get(f"{PATH}/{made['id']}")
    assert reply.status == 200, reply.body
    contract.check("Response", reply.json())
    found: dict[str, Any] = reply.json()
    return found


async def until(served: Any, made: dict[str, Any], *statuses: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (found := await look(served, made))["status"] not in statuses:  # noqa: ASYNC110  # as clients poll
            await asyncio.sleep(0.005)
    return found


def events_of(body: bytes) -> list[dict[str, Any]]:
    found = read_json_events(body, named=True)
    for event in found:
        contract.check("ResponseEvent", event)
    return found


async def test_it_is_there_at_once_and_whole_in_the_end(stored: Any) -> None:
    async with stored() as served:
        made = await create(served)
        assert (made["status"], made["output"], made["usage"]) == ("queued", [], None)
        done = await until(served, made, "completed")
        assert done["output"][0]["content"][0]["text"] == "Hello"
        assert done["usage"]["output_tokens"] > 0
        assert (await served.post(f"{PATH}/{made['id']}/cancel")).json() == done
        assert len((await served.get(f"{PATH}/{made['id']}/input_items")).json()["data"]) == 1
    async with stored() as served:
        assert await look(served, made) == done
        assert (await served.post(f"{PATH}/{made['id']}/cancel")).json() == done
        more = await served.post(PATH, input="And?", previous_response_id=made["id"], temperature=0)
        assert more.status == 200


async def test_it_is_cancelled_and_stays_so(stored: Any) -> None:
    async with stored(babble, **SLOW) as served:
        made = await create(served, **ENDLESS)
        await until(served, made, "in_progress")
        refused = await served.post(PATH, input="And?", previous_response_id=made["id"])
        assert (refused.status, refused.error["code"]) == (400, "response_in_progress")
        cancelled = (await served.post(f"{PATH}/{made['id']}/cancel")).json()
        contract.check("Response", cancelled)
        assert cancelled["status"] == "cancelled"
        assert cancelled["usage"]["output_tokens"] < 4000
        assert [item["status"] for item in cancelled["output"]] in ([], ["incomplete"])
        for _ in range(2):
            assert (await served.post(f"{PATH}/{made['id']}/cancel")).json() == cancelled
            assert await look(served, made) == cancelled
        # Its row is free.
        assert (await served.answer(max_tokens=3))["choices"]
    async with stored() as served:
        assert await look(served, made) == cancelled
        more = await served.post(PATH, input="And?", previous_response_id=made["id"], max_output_tokens=3)
        assert more.status == 200


async def test_one_that_nobody_may_wait_for_cannot_be_cancelled(stored: Any) -> None:
    async with stored() as served:
        made = (await served.post(PATH, input="Hi")).json()
        refused = await served.post(f"{PATH}/{made['id']}/cancel")
        assert (refused.status, refused.error["code"]) == (400, "not_in_background")


async def test_who_listens_may_leave_and_come_back(stored: Any) -> None:
    async with stored(babble, **SLOW) as served:
        body = json.dumps({"input": "Hi", "background": True, "stream": True} | ENDLESS).encode()
        scope = asgi.http_scope("POST", PATH, headers={"content-type": "application/json"})
        async with asgi.exchange(served.app, scope, [body]) as (exchange, task):
            first = events_of(await exchange.chunk(0))
            await exchange.chunk(1)
            await exchange.leave()
            await asyncio.gather(task, return_exceptions=True)
        made = first[0]["response"]
        address = f"{PATH}/{made['id']}?stream=true"
        listening = asyncio.create_task(served.get(f"{address}&starting_after=1"))
        await until(served, made, "in_progress")
        await served.post(f"{PATH}/{made['id']}/cancel")
        heard = events_of((await listening).body)
        whole = events_of((await served.get(address)).body)
        parts = [events_of((await served.get(f"{address}&starting_after={number}")).body) for number in (0, 20, 10**6)]
        done = await look(served, made)
    kinds = [event["type"] for event in whole]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["response"]["status"] for event in whole[:3]] == ["queued", "queued", "in_progress"]
    assert (kinds[-1], done["status"]) == ("response.incomplete", "cancelled")
    assert heard == whole[2:]
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert whole[-1]["response"] == done
    assert "".join(event.get("delta", "") for event in whole) == done["output"][0]["content"][0]["text"]
    assert parts == [whole[1:], whole[21:], []]


async def test_one_that_is_removed_while_it_is_made_is_gone(stored: Any) -> None:
    async with stored(babble, **SLOW) as served:
        made = await create(served, **ENDLESS)
        reply = await asgi.request(served.app, "DELETE", f"{PATH}/{made['id']}")
        assert reply.json()["deleted"] is True
        assert (await served.get(f"{PATH}/{made['id']}")).status == 404
    async with stored() as served:
        assert (await served.get(f"{PATH}/{made['id']}")).status == 404


async def test_one_whose_server_stops_is_stored_as_failed(stored: Any) -> None:
    async with stored(babble, **SLOW) as served:
        made = await create(served, **ENDLESS)
        await until(served, made, "in_progress")
    async with stored() as served:
        failed = await look(served, made)
    assert failed["status"] == "failed"
    assert "shutting down" in failed["error"]["message"]


async def test_for_another_server_it_has_failed_until_it_is_done(stored: Any, path: Path) -> None:
    async with stored(babble, **SLOW) as served:
        made = await create(served, **ENDLESS)
        other = Archive(path, Limits(10_000_000, 0))
        seen = await other.get(made["id"], "")
        await other.close()
        assert seen is not None
        assert (seen.document["status"], seen.output) == ("failed", ())
        assert seen.document["error"]["message"] == "The server ended before this response did."


async def test_a_failing_engine_is_told(stored: Any) -> None:
    async with stored(fails=lambda num_runs: num_runs == 3) as served:
        made = await create(served)
        failed = await until(served, made, "failed")
        assert failed["error"]["code"] == "server_error"
        assert events_of((await served.get(f"{PATH}/{made['id']}?stream=true")).body)[-1]["type"] == "response.failed"


async def test_it_is_its_owners_alone(stored: Any) -> None:
    async with stored(babble, **SLOW) as served:
        served.app = ApiKey(served.app, keys=["ann", "bob"])
        ann, bob = ({"authorization": f"Bearer {key}"} for key in ("ann", "bob"))
        body = {"input": "Hi", "background": True} | ENDLESS
        made = (await asgi.request(served.app, "POST", PATH, data=body, headers=ann)).json()
        for method, end in (("GET", ""), ("GET", "?stream=true"), ("POST", "/cancel"), ("DELETE", "")):
            assert (await asgi.request(served.app, method, f"{PATH}/{made['id']}{end}", headers=bob)).status == 404
        cancelled = await asgi.request(served.app, "POST", f"{PATH}/{made['id']}/cancel", headers=ann)
        assert cancelled.json()["status"] == "cancelled"


async def test_one_that_cannot_be_stored_is_not_begun(stored: Any, path: Path) -> None:
    block(path)
    async with stored(babble, **SLOW) as served:
        reply = await served.post(PATH, input="Hi", background=True, **ENDLESS)
        assert (reply.status, reply.error["code"]) == (503, "archive_unavailable")
        assert (await served.answer(max_tokens=3))["choices"]


def block(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_bytes(b"a file where the folder should be")


async def test_many_end_and_the_latest_can_still_be_listened_to(stored: Any) -> None:
    async with stored(says("Hi")) as served:
        all_made = [await until(served, await create(served), "completed") for _ in range(20)]
        statuses = [(await served.get(f"{PATH}/{made['id']}?stream=true")).status for made in all_made]
        assert statuses[-16:] == [200] * 16
        assert statuses[0] == 400
        assert [await look(served, made) for made in all_made] == all_made
