"""Faults injected into a real server over a small real model: the outcome of each, and that all is well after it."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.chat_app import make_model
from support.scraped import Read, scraped_text
from support.server_process import ServerProcess, running

from obeaver.models.store import Store

TESTS = Path(__file__).parent.parent
LIMIT_S = 120.0
"""Nobody waits as long; only a fault that is not handled does."""

QUESTION = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 24, "ignore_eos": True}


@dataclass
class Faulty:
    """A server, and the file of its next fault."""

    server: ServerProcess
    faults: Path

    def inject(self, fault: str) -> None:
        partial = self.faults.with_suffix(".partial")
        partial.write_text(fault, encoding="utf-8")
        partial.replace(self.faults)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.server.url + path, timeout=LIMIT_S)

    def post(self, **parameters: Any) -> httpx.Response:
        return httpx.post(self.server.url + "/v1/chat/completions", json=QUESTION | parameters, timeout=LIMIT_S)

    def text(self) -> str:
        answer = self.post()
        assert answer.status_code == 200, answer.text
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def stream(self, *, at_first: Callable[[], None] = lambda: None) -> list[Any]:
        """The events of a stream; what is done when the first has come."""
        url, body = self.server.url + "/v1/chat/completions", QUESTION | {"stream": True}
        with httpx.stream("POST", url, json=body, timeout=LIMIT_S) as answer:
            lines = (line[6:] for line in answer.iter_lines() if line.startswith("data: "))
            events = [next(lines)]
            at_first()
            events += lines
        return [json.loads(event) if event != "[DONE]" else event for event in events]

    def stream_through(self, fault: str, meanwhile: Callable[[], None]) -> list[Any]:
        """The events of a stream that meets a fault, and what is done as soon as it has.

        The fault is there before the stream: one that came later might find that all tokens are made.
        """
        self.inject(fault)
        with ThreadPoolExecutor(1) as pool:
            events = pool.submit(self.stream)
            self.until(lambda: not self.faults.exists())
            meanwhile()
            return events.result()

    def metrics(self) -> Read:
        return scraped_text(self.get("/metrics").text)

    def until(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < give_up, "".join(self.server.log[-20:])
            time.sleep(0.05)

    def logged(self, words: str) -> bool:
        return any(words in line for line in self.server.log)


@contextmanager
def faulty(home: Path, *words: str) -> Iterator[Faulty]:
    faults = home.parent / f"{home.name}-faults"
    line = [sys.executable, "-m", "support.faulty_server", str(faults), "serve", "tiny", "--home", str(home)]
    line += ["--offline", "--port", "0", "--threads", "1", "--kv-cache-mb", "8", "--lookahead", "0", *words]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    with running(line, {"PYTHONPATH": path}) as server:
        yield Faulty(server, faults)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("faults") / "home"
    make_model(Store(home), "tiny")
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Faulty]:
    with faulty(home, "--restart-engine") as server:
        yield server


def text_of(events: list[Any]) -> str:
    assert events[-1] == "[DONE]"
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1])


@pytest.mark.parametrize("fault", ["raise", "memory", "nan"])
def test_a_run_that_fails_ends_its_own_sequences_and_nothing_else(server: Faulty, fault: str) -> None:
    before = server.text()
    server.inject(fault)
    answer = server.post()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failed")
    assert server.get("/health").json()["status"] == "ok"
    server.inject(fault)
    assert server.stream()[-1]["error"]["code"] == "engine_failed"
    assert server.text() == before


def test_a_slow_step_is_waited_for_while_health_answers(server: Faulty) -> None:
    before = server.text()
    health: list[httpx.Response] = []

    events = server.stream_through("slow 2", lambda: health.append(server.get("/health/ready")))
    assert text_of(events) == before
    assert health[0].status_code == 200


def test_a_loop_that_stood_still_is_told_and_costs_nobody_an_answer(server: Faulty) -> None:
    before = server.text()
    server.inject("block 1.5")
    assert text_of(server.stream()) == before
    server.until(lambda: server.logged("the event loop stood still for"))
    read = server.metrics()
    assert read("obeaver_event_loop_lag_seconds_bucket", le="+Inf") > read(
        "obeaver_event_loop_lag_seconds_bucket", le="1.0"
    )


@pytest.mark.parametrize("hours", [24, -24])
def test_a_clock_that_jumps_changes_nothing_but_the_time_that_is_told(server: Faulty, hours: int) -> None:
    before = server.text()
    spent_s = server.metrics()("http_request_duration_seconds_sum")
    began = time.time()
    try:
        events = server.stream(at_first=lambda: server.inject(f"clock {hours * 3600}"))
        assert text_of(events) == before
        answer = server.post().json()
    finally:
        server.faults.unlink(missing_ok=True)
    assert answer["choices"][0]["message"]["content"] == before
    assert abs(answer["created"] - began - hours * 3600) < LIMIT_S
    assert server.get("/health").json()["status"] == "ok"
    # Durations are those of a clock that nobody sets.
    assert 0 <= server.metrics()("http_request_duration_seconds_sum") - spent_s < LIMIT_S


@pytest.mark.parametrize("fault", ["die", "crash"])
def test_an_engine_that_has_failed_is_started_anew_and_every_client_is_told(server: Faulty, fault: str) -> None:
    before = server.text()
    ends_before = server.metrics()("vllm:request_success_total")
    restarts = sum("is started anew in" in line for line in server.server.log)
    server.inject(fault)
    outcome = server.stream()
    # The row that is lost in a crash is given back after its answer has ended.
    assert outcome[-1] == "[DONE]" if fault == "crash" else outcome[-1]["error"]["code"] == "engine_failed"
    server.until(lambda: sum("is started anew in" in line for line in server.server.log) > restarts)
    assert server.get("/health/live").status_code == 200
    while (answer := server.post()).status_code != 200:
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        time.sleep(0.1)
    assert answer.json()["choices"][0]["message"]["content"] == before
    assert server.get("/health/ready").json() == {"status": "ok"}
    # Counters do not begin anew with the engine.
    assert server.metrics()("vllm:request_success_total") == ends_before + 2


def test_without_that_option_a_dead_engine_asks_for_a_new_process(home: Path) -> None:
    with faulty(home) as server:
        server.inject("die")
        assert server.post().json()["error"]["code"] == "engine_failed"
        server.until(lambda: server.get("/health/live").status_code == 503)
        assert server.get("/health/ready").json() == {"status": "unhealthy"}
        answer = server.post()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        server.server.process.send_signal(signal.SIGTERM)
        assert server.server.process.wait(LIMIT_S) == 0


def test_a_step_that_never_ends_keeps_nobody_waiting_and_the_server_from_nothing(home: Path) -> None:
    with faulty(home, "--shutdown-timeout", "0.5") as server:
        events = server.stream_through("hang", lambda: server.server.process.send_signal(signal.SIGTERM))
        assert events[-1]["error"]["code"] == "shutting_down"
        server.server.process.send_signal(signal.SIGTERM)  # the second one: at once
        assert server.server.process.wait(LIMIT_S) == 0
