"""Wrong requests to stored responses: one status each, in the shape of OpenAI's errors, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi

from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_stored_requests.json").read_text("utf-8"))
PATH = "/v1/responses"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_request_gets_its_error_and_the_response_is_still_there(
    row: dict[str, Any], serve: Any, tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "home" / "responses" / "responses.sqlite3", Limits(10_000_000, 0))
    async with serve(archive=archive) as served:
        made = (await served.post(PATH, input="Hi", temperature=0)).json()
        told = json.dumps(row).replace("{id}", made["id"]).replace("{item}", made["output"][0]["id"])
        asked = json.loads(told)
        reply = await asgi.request(served.app, asked["method"], PATH + asked["path"], data=asked.get("body"))
        error = reply.error
        assert (reply.status, error["param"], error["code"]) == (row["status"], row["param"], row["code"])
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        assert (await served.get(f"{PATH}/{made['id']}")).json() == made
        again = await served.post(PATH, input="Hi", temperature=0, previous_response_id=made["id"])
        assert again.status == 200


async def test_where_nothing_is_stored_that_is_what_is_said(serve: Any) -> None:
    async with serve() as served:
        assert (await served.post(PATH, input="Hi", store=True)).json()["store"] is False
        for parameters in (
            {"previous_response_id": "resp_1"},
            {"background": True},
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
        ):
            reply = await served.post(PATH, **{"input": "Hi"} | parameters)
            assert reply.status == 400
            assert "stores no responses" in reply.error["message"]
        for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            reply = await asgi.request(served.app, method, f"{PATH}/resp_1{end}")
            assert (reply.status, reply.error["code"]) == (404, "response_not_found")
