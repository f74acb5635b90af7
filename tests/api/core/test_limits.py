"""What a request may hold at most: refused in every dialect, in its own words, before anything is computed."""

from pathlib import Path
from typing import Any

import pytest
from support import asgi
from support.chat_app import make_model, serving

from obeaver.api.contract.limits import RequestLimits
from obeaver.errors import BadRequest
from obeaver.models.store import Store

USER = {"role": "user", "content": "a"}
LIMITS: dict[str, Any] = {
    "max_messages": 3,
    "max_tools": 1,
    "max_schema_values": 30,
    "max_schema_kb": 1,
    "max_stop_chars": 8,
    "max_choices": 2,
    "max_logprobs": 50,
}
PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}}
WIDE = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(20)}}
LONG = {"type": "object", "description": "words " * 200}


def tools(*functions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"f{i}", **function}} for i, function in enumerate(functions)]


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}}


TOOLS = {"messages": [USER] * 3, "tools": tools({"parameters": PARAMETERS})}
CHAT: list[tuple[dict[str, Any], str, str, str]] = [
    ({"messages": [USER] * 4}, "messages", "array_above_max_length", "4 messages; this server accepts 3"),
    ({"tools": tools({}, {})}, "tools", "array_above_max_length", "2 tools; this server accepts 1"),
    ({"tools": tools({"parameters": WIDE})}, "tools", "schema_too_large", "at most 30 JSON values"),
    ({"tools": tools({"description": "words " * 200})}, "tools", "schema_too_large", "1 kB of text"),
    ({"response_format": form(WIDE)}, "response_format", "schema_too_large", "at most 30 JSON values"),
    ({"response_format": form(LONG)}, "response_format", "schema_too_large", "1 kB of text"),
    ({"regex": "a" * 1001}, "regex", "schema_too_large", "1 kB of text"),
    ({"choice": ["a" * 40] * 26}, "choice", "schema_too_large", "1 kB of text"),
    ({"stop": ["abcd", "efghi"]}, "stop", "string_above_max_length", "9 characters in stop strings"),
    ({"n": 3}, "n", "integer_above_max_value", "3 answers; this server accepts 2"),
    ({"logprobs": True, "top_logprobs": 4, "max_tokens": 11}, "logprobs", "integer_above_max_value", "55 log-prob"),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_model(Store(tmp_path), "small")
    return tmp_path


async def test_a_chat_request_keeps_to_every_limit(home: Path) -> None:
    async with serving(home, "small", **LIMITS) as served:
        for body, param, code, words in CHAT:
            asked = {"messages": [USER], "max_tokens": 1} | body
            reply = await asgi.request(served.app, "POST", "/v1/chat/completions", data=asked)
            error = reply.json()["error"]
            assert (reply.status, error["param"], error["code"]) == (400, param, code), (body, error)
            assert words in error["message"]
            assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/messages", {"max_tokens": 1, "messages": [USER] * 4}, "4 messages"),
        ("/v1/messages", {"max_tokens": 1, "messages": [USER], "stop_sequences": ["123456789"]}, "9 characters"),
        ("/v1/messages/count_tokens", {"messages": [USER] * 4}, "4 messages"),
        ("/api/chat", {"messages": [USER] * 4}, "4 messages"),
        ("/api/chat", {"messages": [USER], "options": {"stop": ["123456789"]}}, "9 characters"),
        ("/api/generate", {"prompt": "a", "raw": True, "options": {"stop": ["123456789"]}}, "9 characters"),
        ("/api/generate", {"prompt": "a", "format": WIDE}, "30 JSON values"),
        ("/v1/responses", {"input": [USER] * 4, "store": False}, "4 messages"),
        ("/v1/responses/input_tokens", {"input": [USER] * 4}, "4 messages"),
        ("/v1/completions", {"prompt": ["a", "b", "c"], "max_tokens": 1}, "3 answers"),
        ("/v1/completions", {"prompt": "a", "stop": "123456789"}, "9 characters"),
        ("/v1/tokenize", {"messages": [USER] * 4}, "4 messages"),
    ],
)
async def test_so_does_one_in_another_dialect(home: Path, path: str, body: dict[str, Any], words: str) -> None:
    async with serving(home, "small", **LIMITS) as served:
        reply = await asgi.request(served.app, "POST", path, data={"model": "small"} | body)
    assert reply.status == 400
    assert words in reply.body.decode()


async def test_what_keeps_to_the_limits_is_answered(home: Path) -> None:
    asked = {
        "messages": [USER] * 3,
        "stop": ["abcd", "efgh"],
        "n": 2,
        "logprobs": True,
        "top_logprobs": 4,
        "max_tokens": 5,
    }
    async with serving(home, "small", **LIMITS) as served:
        with_tools = await asgi.request(served.app, "POST", "/v1/tokenize", data=TOOLS)
        reply = await asgi.request(served.app, "POST", "/v1/chat/completions", data=asked)
    assert (with_tools.status, reply.status) == (200, 200), (with_tools.body, reply.body)


def test_all_schemas_of_a_request_count_together() -> None:
    limits = RequestLimits(schema_values=10)
    limits.check_schemas([{"a": 1}], {"b": 2}, "form")
    with pytest.raises(BadRequest, match="at most 10 JSON values") as refused:
        limits.check_schemas([{"a": 1}], {"b": list(range(10))}, "form")
    assert refused.value.param == "form"
