"""obeaver on Ray Serve: two real replicas behind Ray's proxy, asked by the official client."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import httpx
import openai
import pytest

SERVICE = Path(__file__).parent / "ray_service.py"

RECOVERED_WITHIN_S = 120

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not here: make deploy-check installs it"
    ),
]


class Service:
    """The process, and what it can be told."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin: IO[str] = process.stdin
        self._stdout: IO[str] = process.stdout
        self.url = f"http://127.0.0.1:{port}/v1"

    def wait_for(self, word: str) -> None:
        for line in self._stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the service ended before it said {word!r}")

    def kill_a_replica(self) -> None:
        print("kill", file=self._stdin, flush=True)
        self.wait_for("killed")

    def end(self) -> None:
        self._stdin.close()


@pytest.fixture(scope="module")
def service(default_model: Path) -> Iterator[Service]:
    assert default_model.is_dir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    patience = {f"RAY_SERVE_PROXY_{check}_CHECK_TIMEOUT_S": "60" for check in ("READY", "HEALTH")}
    environ = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OBEAVER_THREADS": "1"} | patience
    with subprocess.Popen(
        [sys.executable, SERVICE, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        running = Service(process, port)
        try:
            running.wait_for("ready")
            yield running
        finally:
            running.end()
            process.wait(120)


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=service.url, api_key="unused", max_retries=0, timeout=120) as client:
        yield client


def say(client: openai.OpenAI, conversation: str, max_tokens: int = 8) -> tuple[list[str], int]:
    """The chunks of an answer, and how much of its prompt was cached."""
    chunks = list(
        client.chat.completions.create(
            model="smollm2-135m",
            messages=[{"role": "user", "content": f"My name is {conversation}. " * 10}],
            stream=True,
            stream_options={"include_usage": True},
            temperature=0,
            max_tokens=max_tokens,
            extra_headers={"x-session-id": conversation},
        )
    )
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    return texts, usage.prompt_tokens_details.cached_tokens or 0


def test_answers_stream_and_conversations_stay_on_their_replica(client: openai.OpenAI) -> None:
    for conversation in ("Ann", "Bob", "Cleo", "Dan"):
        first, _cached = say(client, conversation)
        again, cached = say(client, conversation)
        assert len(first) > 2
        assert "".join(again) == "".join(first)  # how many chunks there are depends on the network
        # More than the system prompt, which every conversation shares.
        assert cached > 60


def test_a_replica_that_is_killed_mid_run_ends_its_streams_and_is_replaced(
    service: Service, client: openai.OpenAI
) -> None:
    names = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"]
    with ThreadPoolExecutor(len(names)) as pool:
        runs = [pool.submit(outcome, client, name) for name in names]
        while not any(run.running() for run in runs):
            time.sleep(0.01)
        service.kill_a_replica()
        # Whoever was on it is told, as an error or by a connection that ends; nobody waits for ever.
        assert {run.result(RECOVERED_WITHIN_S) for run in runs} <= {"whole", "broken"}
    give_up = time.monotonic() + RECOVERED_WITHIN_S
    while True:
        try:
            answers = [say(client, name, max_tokens=2) for name in names]
            again = [say(client, name, max_tokens=2) for name in names]
        except openai.APIError:
            assert time.monotonic() < give_up, "the service does not recover"
            time.sleep(1)
        else:
            break
    assert all("".join(texts) for texts, _cached in answers)
    # Second turns find their replica again.
    assert all(cached > 60 for _texts, cached in again)


def outcome(client: openai.OpenAI, name: str) -> str:
    """How a stream ended that was long enough to be under way when its replica was killed."""
    try:
        say(client, name, max_tokens=400)
    except (openai.APIError, httpx.HTTPError, AssertionError):
        return "broken"
    return "whole"
