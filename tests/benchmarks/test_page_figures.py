"""What the benchmark of the page takes its figures from: a trace of frames, and a chat at a pace."""

import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.load.frame_trace import script_per_frame_ms
from benchmarks.load.paced_chat import Answer, PacedChat, paced_chat


def test_script_counts_once_to_the_frame_that_it_ran_before() -> None:
    events = [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "CrRendererMain"}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 3, "args": {"name": "CrRendererMain"}},
        _event("FunctionCall", 100, 5_000, tdur=4_000),
        _event("RunMicrotasks", 200, 1_000),  # within the call above
        _event("Layout", 6_000, 9_000),
        _event("Commit", 16_000, 100),
        _event("EvaluateScript", 17_000, 2_000),
        _event("MinorGC", 20_000, 500),
        _event("Commit", 33_000, 100),
        _event("FunctionCall", 34_000, 7_000),  # no frame any more
        _event("FunctionCall", 100, 90_000, tid=3) | {"pid": 9},
    ]
    assert script_per_frame_ms(json.dumps({"traceEvents": events}).encode()) == [4.0, 2.5]


def test_a_trace_without_a_page_is_refused() -> None:
    with pytest.raises(ValueError, match="no thread of a page"):
        script_per_frame_ms(b'{"traceEvents": []}')


def _event(name: str, begin: int, duration: int, *, tid: int = 2, **more: int) -> dict[str, Any]:
    return {"ph": "X", "name": name, "pid": 1, "tid": tid, "ts": begin, "dur": duration, **more}


@pytest.fixture
def chat() -> Iterator[PacedChat]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with paced_chat(f"http://127.0.0.1:{server.server_address[1]}") as running:
        yield running
    server.shutdown()
    thread.join()
    server.server_close()


class _Upstream(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " + body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_paced_chat_says_each_token_in_an_event_and_hands_on_the_rest(chat: PacedChat) -> None:
    chat.answer = Answer(["a", "b", "c"], per_s=1000)
    status, text = _post(chat.url, "/v1/chat/completions")
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert status == 200
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]] == [
        "a",
        "b",
        "c",
        None,
    ]
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert _post(chat.url, "/elsewhere") == (201, "/elsewhere {}")


def _post(url: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", path, body=b"{}")
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()
