"""Stored responses over HTTP: read, gone on with, listed and removed, each by whom they belong to."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from support import asgi, contract
from support.event_stream import read_json_events
from support.scripted_model import HELLO, TEMPLATE_WITH_TOOLS, ids_of, says
from support.stored import bytes_on_disk

from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits
from obeaver.web.access import ApiKey

PATH = "/v1/responses"
CALL = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
TOOLS = [{"type": "function", "name": "get_weather"}]
SECRET = "the heron nests in the alder carr"

Stored = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "responses"


@pytest.fixture
def stored(serve: Any, folder: Path) -> Stored:
    """Serves a model beside an archive: what was stored by one such server is there for the next."""

    def serving(reply: Any = HELLO, **options: Any) -> Any:
        archive = Archive(folder / "responses.sqlite3", Limits(10_000_000, 0))
        return serve(reply, archive=archive, template=TEMPLATE_WITH_TOOLS, **options)

    return serving


def block(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_bytes(b"a file where the folder should be")


def unblock(folder: Path) -> None:
    folder.unlink()


def damage(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "responses.sqlite3").write_bytes(b"this is no database" * 1000)


async def create(served: Any, headers: dict[str, str] | None = None, **parameters: Any) -> dict[str, Any]:
    body = {"input": "Hi", "temperature": 0} | parameters
    reply = await asgi.request(served.app, "POST", PATH, data=body, headers=headers)
    assert reply.status == 200, reply.body
    if not parameters.get("stream"):
        answer: dict[str, Any] = reply.json()
    else:
        events = read_json_events(reply.body, named=True)
        assert events[0]["response"]["store"] is True
        answer = events[-1]["response"]
    contract.check("Response", answer)
    return answer


async def items_of(served: Any, response_id: str, query: str = "") -> dict[str, Any]:
    reply = await served.get(f"{PATH}/{response_id}/input_items{query}")
    assert reply.status == 200, reply.body
    page: dict[str, Any] = reply.json()
    contract.check("ResponseItemList", page)
    return page


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_is_read_as_it_was_answered_by_the_next_server_too(stored: Stored, stream: bool) -> None:
    given: dict[str, Any] = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "max_output_tokens": 3,
        "tools": TOOLS,
    }
    async with stored() as served:
        answer = await create(served, stream=stream, **given)
        assert answer["store"] is True
        assert answer["status"] == "incomplete"
        same = await served.get(f"{PATH}/{answer['id']}")
    async with stored() as served:
        again = await served.get(f"{PATH}/{answer['id']}")
    assert same.json() == again.json() == answer
    contract.check("Response", answer)


async def test_a_conversation_goes_on_by_id_as_if_it_were_sent_whole(stored: Stored) -> None:
    prompts: list[str] = []

    def reply(prompt: str) -> list[int]:
        prompts.append(prompt)
        return ids_of("It rains." if "21" in prompt else f"<think>Hm.</think>Let me see.{CALL}")

    def result_of(response: dict[str, Any]) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": response["output"][-1]["call_id"], "output": "21"}

    async with stored(reply) as served:
        first = await create(served, instructions="Be brief.", tools=TOOLS)
        second = await create(served, input=[result_of(first)], previous_response_id=first["id"], tools=TOOLS)
        last = await create(
            served, input="Thanks", previous_response_id=second["id"], instructions="Be long.", tools=TOOLS
        )
        whole = await create(
            served,
            input=[
                {"role": "user", "content": "Hi"},
                *first["output"],
                result_of(first),
                *second["output"],
                {"role": "user", "content": "Thanks"},
            ],
            instructions="Be long.",
            tools=TOOLS,
        )
    assert [item["type"] for item in first["output"]] == ["reasoning", "message", "function_call"]
    assert "Be brief." in prompts[0]
    assert all("Be brief." not in prompt for prompt in prompts[1:])
    assert [answer["previous_response_id"] for answer in (first, second, last)] == [None, first["id"], second["id"]]
    for name in ("input_tokens", "output_tokens"):
        assert last["usage"][name] == whole["usage"][name]
    assert prompts[2] == prompts[3]


async def test_the_conversation_of_a_response_comes_in_pages(stored: Stored) -> None:
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi", "id": "my-own_id"},
        {"role": "user", "content": [{"type": "input_text", "text": "Ho"}], "id": "not a plain id"},
        {"role": "assistant", "content": "Hey"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "21"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    ]
    async with stored() as served:
        first = await create(served, input=given)
        second = await create(served, previous_response_id=first["id"], input="And?")
        whole = await items_of(served, second["id"], "?order=asc")
        ids = [item["id"] for item in whole["data"]]
        pages = {
            query: [item["id"] for item in (await items_of(served, second["id"], query))["data"]]
            for query in (
                "",
                "?limit=2&order=asc",
                f"?limit=2&order=asc&after={ids[1]}",
                f"?limit=2&after={ids[4]}",
                f"?order=asc&before={ids[2]}",
                f"?order=asc&after={ids[0]}&before={ids[4]}",
                f"?after={ids[0]}",
            )
        }
        more = [(await items_of(served, second["id"], f"?limit={limit}"))["has_more"] for limit in (8, 9)]
        short = await items_of(served, first["id"], "?limit=100")
    assert list(pages.values()) == [
        ids[::-1],
        ids[:2],
        ids[2:4],
        [ids[3], ids[2]],
        ids[:2],
        ids[1:4],
        [],
    ]
    assert more == [True, False]
    assert len(ids) == len(set(ids)) == 9
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[0], ids[-1], False)
    assert ids[1] == "my-own_id"
    assert [item["id"] for item in short["data"]] == ids[:7][::-1]
    assert ids[7] == first["output"][0]["id"]
    assert whole["data"][1] == {
        "id": "my-own_id",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi"}],
    }
    assert [item["type"] for item in whole["data"][3:8]] == [
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "message",
    ]


async def test_a_reference_stands_for_a_stored_item(stored: Stored) -> None:
    prompts: list[str] = []

    def reply(prompt: str) -> list[int]:
        prompts.append(prompt)
        return ids_of("The alder carr.")

    async with stored(reply) as served:
        first = await create(served, input=[{"role": "user", "content": "Where?", "id": "msg_mine"}])
        said = {"type": "item_reference", "id": first["output"][0]["id"]}
        asked = {"type": "item_reference", "id": "msg_mine"}
        second = await create(served, input=[asked, said, {"role": "user", "content": "Really?"}], store=False)
    assert "Where?" in prompts[1]
    assert "The alder carr." in prompts[1]
    assert second["store"] is False


async def test_a_removed_response_is_gone_and_what_goes_on_with_it_is_whole(stored: Stored, folder: Path) -> None:
    async with stored() as served:
        first = await create(served, input=SECRET)
        second = await create(served, previous_response_id=first["id"], input="And?")
        reply = await asgi.request(served.app, "DELETE", f"{PATH}/{first['id']}")
        assert reply.json() == {"id": first["id"], "object": "response", "deleted": True}
        contract.check("ResponseDeleted", reply.json())
        assert (await served.get(f"{PATH}/{first['id']}")).status == 404
        assert (await asgi.request(served.app, "DELETE", f"{PATH}/{first['id']}")).status == 404
        assert len((await items_of(served, second["id"]))["data"]) == 3
        assert (await served.post(PATH, input="x", previous_response_id=first["id"])).status == 400
        await create(served, input="x", previous_response_id=second["id"], store=False)
        assert SECRET.encode() in bytes_on_disk(folder)
        await asgi.request(served.app, "DELETE", f"{PATH}/{second['id']}")
        assert SECRET.encode() not in bytes_on_disk(folder)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_to_be_stored_leaves_no_trace(stored: Stored, folder: Path, stream: bool) -> None:
    reply = says(f"{SECRET}, she said")
    async with stored(reply) as served:
        kept = await create(served, input="kept")
        for previous in (None, kept["id"]):
            body = {"input": f"Where? {SECRET}", "store": False, "stream": stream, "previous_response_id": previous}
            answered = await served.post(PATH, **body, temperature=0, max_output_tokens=16)
            assert answered.status == 200
            assert SECRET[:10].encode() in answered.body
            assert b'"store":true' not in answered.body
        on_disk = bytes_on_disk(folder)
        assert b"Where?" not in on_disk
        assert on_disk.count(SECRET.encode()) == (await served.get(f"{PATH}/{kept['id']}")).body.count(SECRET.encode())
    assert not [path for path in folder.parent.rglob("*") if path.is_file() and b"Where?" in path.read_bytes()]


async def test_nobody_meets_the_responses_of_another_key(stored: Stored) -> None:
    async with stored() as served:
        served.app = ApiKey(served.app, keys=["ann", "bob"])
        ann, bob = ({"authorization": f"Bearer {key}"} for key in ("ann", "bob"))
        made = await create(served, ann)
        path = f"{PATH}/{made['id']}"
        for method, target in (("GET", path), ("GET", f"{path}/input_items"), ("DELETE", path)):
            reply = await asgi.request(served.app, method, target, headers=bob)
            assert (reply.status, reply.error["code"]) == (404, "response_not_found")
        for body, status in (
            ({"input": "x", "previous_response_id": made["id"]}, 400),
            ({"input": [{"type": "item_reference", "id": made["output"][0]["id"]}]}, 404),
        ):
            assert (await asgi.request(served.app, "POST", PATH, data=body, headers=bob)).status == status
            assert (await asgi.request(served.app, "POST", PATH, data=body, headers=ann)).status == 200
        # The same key in the header of another SDK.
        assert (await asgi.request(served.app, "GET", path, headers={"x-api-key": "ann"})).json() == made


async def test_a_disk_that_cannot_be_written_costs_no_answer(
    stored: Stored, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    block(folder)
    async with stored() as served:
        whole = await create(served)
        streamed = await create(served, stream=True)
        for answer in (whole, streamed):
            assert answer["output"][0]["content"][0]["text"] == "Hello"
            assert answer["store"] is False
        assert len([record for record in caplog.records if "cannot be used" in record.message]) == 2
        unblock(folder)
        assert (await create(served))["store"] is True


async def test_a_damaged_file_is_said_to_be(stored: Stored, folder: Path) -> None:
    damage(folder)
    async with stored() as served:
        assert (await create(served))["store"] is False
        for reply in (
            await served.get(f"{PATH}/resp_1"),
            await served.get(f"{PATH}/resp_1/input_items"),
            await asgi.request(served.app, "DELETE", f"{PATH}/resp_1"),
            await served.post(PATH, input="x", previous_response_id="resp_1"),
        ):
            assert (reply.status, reply.error["code"]) == (503, "archive_unavailable")


async def test_an_answer_that_fails_in_its_stream_is_stored_as_failed(stored: Stored) -> None:
    async with stored(says("Hello"), fails=lambda num_runs: num_runs == 4) as served:
        reply = await served.post(PATH, input="Hi", temperature=0, stream=True)
        failed = read_json_events(reply.body, named=True)[-1]["response"]
        assert failed["status"] == "failed"
        assert (await served.get(f"{PATH}/{failed['id']}")).json() == failed


async def test_a_client_that_leaves_leaves_nothing(stored: Stored, folder: Path) -> None:
    async with stored(lambda _prompt: None, step_s=0.01) as served:
        body = json.dumps({"input": SECRET, "stream": True, "max_output_tokens": 4000}).encode()
        scope = asgi.http_scope("POST", PATH, headers={"content-type": "application/json"})
        async with asgi.exchange(served.app, scope, [body]) as (exchange, task):
            await exchange.chunk(3)
            await exchange.leave()
            await task
    assert SECRET.encode() not in bytes_on_disk(folder)
