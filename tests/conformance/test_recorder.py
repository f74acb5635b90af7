"""The recording proxy: what a client sends is kept, without its secrets, and handed on whole."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import recordings
from conformance.__main__ import main
from conformance.http_bytes import Request, Response, send
from conformance.proxy import proxy, response_bytes, split_label

CHUNKS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"total_tokens": 3}},
)


def toy_server(_label: str, request: Request) -> bytes:
    """Lists a model, streams what it is asked, and echoes the headers that it got."""
    if request.target == "/v1/models":
        return response_bytes(Response(200, (("content-type", "application/json"),), b'{"data": [{"id": "toy"}]}'))
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS) + b"data: [DONE]\n\n"
    got = ("x-got", json.dumps(dict(request.headers)))
    return response_bytes(Response(200, (("content-type", "text/event-stream"), ("set-cookie", "c=1"), got), body))


@pytest.fixture
def upstream() -> Iterator[str]:
    with proxy(toy_server) as url:
        yield url


REQUEST = Request(
    "POST",
    "/@a-case.0/v1/chat/completions",
    {"authorization": "Bearer sk-secret", "user-agent": "AsyncOpenAI/Python 9.8.7", "x-stainless-lang": "python"},
    b'{"stream": true, "model": "toy"}',
)


def test_a_request_is_kept_with_its_label_headers_body_and_the_order_of_its_endings(upstream: str) -> None:
    recorder = recordings.Recorder(upstream, ["toy"])
    with proxy(recorder) as url:
        answer = send(url, REQUEST)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    recording = recorder.recordings["openai-python 9.8.7"]
    (exchange,) = recording.sessions["a-case.0"]
    assert exchange["request"] == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": {
            "authorization": recordings.SCRUBBED,
            "user-agent": "AsyncOpenAI/Python 9.8.7",
            "x-stainless-lang": "python",
        },
        "body": {"stream": True, "model": "toy"},
    }
    assert exchange["response"]["endings"] == ["finish", "usage", "[DONE]"]
    assert exchange["response"]["headers"]["set-cookie"] == recordings.SCRUBBED


def test_the_server_gets_the_secret_that_the_recording_has_not(upstream: str) -> None:
    with proxy(recordings.Recorder(upstream, ["toy"])) as url:
        answer = send(url, REQUEST)
    assert json.loads(answer.header("x-got") or "")["authorization"] == "Bearer sk-secret"


def test_a_recording_is_read_as_it_was_written_and_grows(tmp_path: Path) -> None:
    exchange = {"request": {"path": "/v1/models", "body": {"text": "ä"}}, "response": {"status": 200}}
    first = recordings.Recording("openai-node", "1.0", ("a",), {"one.0": [exchange]})
    second = recordings.Recording("openai-node", "1.0", ("b",), {"two.0": [exchange, exchange]})
    recordings.add(first, tmp_path)
    recordings.add(second, tmp_path)
    (loaded,) = recordings.load(tmp_path)
    assert loaded.model_ids == ("a", "b")
    assert loaded.sessions == {"one.0": [exchange], "two.0": [exchange, exchange]}


def test_the_record_command_runs_a_client_against_the_proxy(upstream: str, tmp_path: Path) -> None:
    client = (
        "import os, urllib.request\n"
        "url = os.environ['OPENAI_BASE_URL'] + '/models'\n"
        "urllib.request.urlopen(urllib.request.Request(url, headers={'user-agent': 'OpenAI/JS 1.2.3'})).read()\n"
    )
    words = ["record", "--upstream", upstream + "/v1", "--out", str(tmp_path), "--", sys.executable, "-c", client]
    assert main(words) == 0
    (loaded,) = recordings.load(tmp_path)
    assert loaded.title == "openai-node 1.2.3"
    assert loaded.sessions[recordings.UNLABELLED][0]["request"]["path"] == "/v1/models"


def test_a_label_is_taken_off_the_path() -> None:
    assert split_label("/@a-b.0/v1/models?x=1") == ("a-b.0", "/v1/models?x=1")
    assert split_label("/v1/models") == ("", "/v1/models")
