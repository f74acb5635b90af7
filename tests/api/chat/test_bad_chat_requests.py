"""Bad bodies, as data: each gets exactly one status, `param` and `code`, and the server goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.scripted_model import CONTEXT_LENGTH, ids_of

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bad_chat_requests.json").read_text("utf-8"))


def body_of(row: dict[str, Any]) -> bytes:
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    return row["raw"].encode() if "raw" in row else json.dumps(row["body"]).encode()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
async def test_a_bad_body_gets_its_error_and_the_next_request_its_answer(row: dict[str, Any], serve: Any) -> None:
    async with serve() as served:
        reply = await asgi.request(
            served.app,
            "POST",
            "/v1/chat/completions",
            body=body_of(row),
            headers={"content-type": "application/json"},
        )
        error = reply.error
        assert (reply.status, error["param"], error["code"]) == (row["status"], row["param"], row["code"])
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        after = await served.answer()
        assert after["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("row", [row for row in ROWS if "body" in row], ids=lambda row: row["name"])
async def test_an_error_does_not_quote_the_body(row: dict[str, Any], serve: Any) -> None:
    secret = "squirrel"
    body = json.dumps(row["body"]).replace('"Hi"', f'"{secret}"')
    async with serve() as served:
        reply = await asgi.request(served.app, "POST", "/v1/chat/completions", data=json.loads(body))
    assert reply.status == row["status"]
    assert secret not in reply.error["message"]


async def test_a_prompt_beyond_the_context_is_told_with_both_numbers(serve: Any) -> None:
    async with serve() as served:
        reply = await served.chat(messages=[{"role": "user", "content": "x" * CONTEXT_LENGTH}])
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "messages", "context_length_exceeded")
    num_prompt = CONTEXT_LENGTH + len(ids_of("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"))
    assert str(CONTEXT_LENGTH) in reply.error["message"]
    assert str(num_prompt) in reply.error["message"]


async def test_a_body_beyond_the_limit_and_one_that_is_no_json_have_statuses_of_their_own(serve: Any) -> None:
    async with serve() as served:
        large = await asgi.request(served.app, "POST", "/v1/chat/completions", body=b'"' + b"x" * 20_000_000 + b'"')
        form = await asgi.request(
            served.app, "POST", "/v1/chat/completions", body=b"a=b", headers={"content-type": "text/plain"}
        )
    assert (large.status, large.error["code"]) == (413, "payload_too_large")
    assert (form.status, form.error["code"]) == (415, "unsupported_media_type")


async def test_a_conversation_that_the_template_rejects_is_a_400_that_says_so(serve: Any) -> None:
    template = "{{ raise_exception('Only one message, please') if messages | length > 1 }}<|im_start|>"
    async with serve(template=template) as served:
        reply = await served.chat(messages=[{"role": "user", "content": "Hi"}] * 2)
    assert (reply.status, reply.error["code"]) == (400, "chat_template_failed")
