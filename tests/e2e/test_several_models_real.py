"""Two real models in one server: chosen by name, unloaded while nobody needs them; and a stop during a load."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.server_process import ServerProcess, serve

pytestmark = pytest.mark.real

INT8, INT4 = "smollm2-135m", "smollm2-135m-int4"
QUESTION = {
    "messages": [{"role": "user", "content": "Tell me about beavers."}],
    "temperature": 0,
    "max_tokens": 24,
}


def ask(server: ServerProcess, **parameters: Any) -> tuple[str, str]:
    answer = httpx.post(server.url + "/v1/chat/completions", json=QUESTION | parameters, timeout=300).json()
    return answer["model"], answer["choices"][0]["message"]["content"]


def get(server: ServerProcess, path: str) -> Any:
    return httpx.get(server.url + path, timeout=60).json()


def statuses(server: ServerProcess) -> dict[str, str]:
    return {model["id"]: model["status"] for model in get(server, "/health")["models"]}


def wait_for(server: ServerProcess, expected: dict[str, str]) -> None:
    until(lambda: statuses(server) == expected, f"models to be {expected}")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.02)


@contextmanager
def largest_rss(process: psutil.Process) -> Iterator[list[int]]:
    """Readings of the process's memory while the block runs."""
    readings, done = [process.memory_info().rss], threading.Event()

    def read() -> None:
        while not done.wait(0.01):
            readings.append(process.memory_info().rss)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield readings
    finally:
        done.set()
        reader.join()


def test_each_of_two_models_answers_to_its_name_in_any_order(default_model: Path, int4_home: Path) -> None:
    with serve(str(default_model), INT4, "--offline", "--home", str(int4_home)) as server:
        assert [model["id"] for model in get(server, "/v1/models")["data"]] == [INT8, INT4]
        by_default, by_name = ask(server), ask(server, model=INT4)
        assert (by_default[0], by_name[0]) == (INT8, INT4)
        assert by_default[1] != by_name[1]
        for model, expected in ((INT4, by_name), (INT8, by_default), ("gpt-4o", by_default), (INT4, by_name)):
            assert ask(server, model=model) == expected
        available = get(server, "/api/models/available")
        assert available["current"] == INT8
        assert [(row["alias"], row["weights"], row["status"]) for row in available["models"]] == [
            (INT8, "int8", "loaded"),
            (INT4, "int4", "loaded"),
        ]


def test_idle_models_give_their_memory_back_and_return_with_the_next_request(
    default_model: Path, int4_home: Path
) -> None:
    with serve(str(default_model), INT4, "--offline", "--home", str(int4_home), "--keep-alive", "1s") as server:
        process = psutil.Process(server.process.pid)
        with largest_rss(process) as largest:
            texts = {model: ask(server, model=model) for model in (INT8, INT4)}
        for _ in range(2):
            wait_for(server, {INT8: "unloaded", INT4: "unloaded"})
            until(lambda: process.memory_info().rss < 0.6 * max(largest), "the memory of two models")
            assert {model: ask(server, model=model) for model in (INT8, INT4)} == texts


def test_a_stop_in_the_middle_of_a_load_is_clean(default_model: Path, int4_home: Path) -> None:
    with serve(str(default_model), "--offline", "--home", str(int4_home)) as server:
        answer = httpx.post(server.url + "/api/models/load?wait=false", json={"alias": INT4}, timeout=60)
        assert (answer.status_code, answer.json()) == (202, {"status": "loading", "model": INT4})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(120) == 0
        assert not any("Traceback" in line for line in server.log)
