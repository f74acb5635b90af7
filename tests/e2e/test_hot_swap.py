"""The model is exchanged again and again while eight clients stream without pause."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.server_process import ServerProcess, serve

from obeaver.processor import few_bit_rows_vary

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        few_bit_rows_vary(), reason="without VNNI, answers of the int4 model depend in their last bits on the load"
    ),
]

NUM_CLIENTS = 8
NUM_SWAPS = 11
"""One more than ten, so that the first and the last one leave the same model in memory."""
ANSWERS_A_SWAP = 2 * NUM_CLIENTS
MIN_SECONDS = float(os.environ.get("OBEAVER_TEST_SWAP_SECONDS", "0"))
"""The swaps are spread over at least so long; by themselves they follow the answers, not the clock."""

PROMPTS = (
    "Tell me about beavers.",
    "Why is the sky blue?",
    "Write a short poem about rain.",
    "How do I boil an egg?",
    "Name three rivers in Europe.",
)
INT8, INT4 = "smollm2-135m", "smollm2-135m-int4"


@dataclass
class Answers:
    """What came from one client after the other.

    Attributes:
        problems: Everything that was not a whole answer of the model that it names.
        count: Whole answers, by model.
        longest_gap_s: Between two events of one stream.
    """

    problems: list[str] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)
    longest_gap_s: float = 0.0


@pytest.fixture(scope="module")
def server(default_model: Path, int4_home: Path) -> Iterator[ServerProcess]:
    """Serves the default model in int8, and has the same one in int4 in its store."""
    with serve(str(default_model), "--offline", "--home", str(int4_home), "--prefix-cache-mb", "16") as running:
        yield running


def body(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 40}


def load(server: ServerProcess, alias: str) -> None:
    answer = httpx.post(server.url + "/api/models/load", json={"alias": alias}, timeout=300)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "model": alias}), answer.text


def references(server: ServerProcess) -> dict[tuple[str, str], str]:
    """What each model says to each prompt when nothing else happens."""
    texts = {}
    for model in (INT4, INT8):
        load(server, model)
        for prompt in PROMPTS:
            answer = httpx.post(server.url + "/v1/chat/completions", json=body(prompt), timeout=300).json()
            assert answer["model"] == model
            texts[model, prompt] = answer["choices"][0]["message"]["content"]
    return texts


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.02)


def released(server: ServerProcess) -> None:
    """Return when the server holds one model and nothing of those before."""
    until(lambda: httpx.get(server.url + "/health", timeout=60).json()["leaving"] == [], "the old model to be released")


class Client(threading.Thread):
    """Streams one answer after the other until it is told to stop."""

    def __init__(self, url: str, first: int, expected: dict[tuple[str, str], str], answers: Answers) -> None:
        super().__init__()
        self._url, self._turn, self._expected, self._answers = url, first, expected, answers
        self.stopped = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=300) as http:
            while not self.stopped.is_set():
                prompt = PROMPTS[self._turn % len(PROMPTS)]
                self._turn += 1
                try:
                    self._take(http, prompt)
                except Exception as error:  # noqa: BLE001 - a failed answer is what the test looks for
                    self._answers.problems.append(f"{type(error).__name__}: {error}")

    def _take(self, http: httpx.Client, prompt: str) -> None:
        models, text = set(), ""
        events: list[str] = []
        with http.stream("POST", self._url + "/v1/chat/completions", json=body(prompt) | {"stream": True}) as answer:
            assert answer.status_code == 200, answer.read()
            before = time.monotonic()
            for line in answer.iter_lines():
                if not line.startswith("data: "):
                    continue
                now = time.monotonic()
                if events:
                    self._answers.longest_gap_s = max(self._answers.longest_gap_s, now - before)
                before = now
                events.append(line[6:])
        assert events[-1] == "[DONE]", f"the stream was cut off: {events[-1]}"
        for chunk in map(json.loads, events[:-1]):
            models.add(chunk["model"])
            text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        (model,) = models
        assert text == self._expected[model, prompt], f"{model} does not say {text!r}"
        self._answers.count[model] += 1


def test_exchanging_the_model_under_load_fails_and_mixes_no_answer_and_keeps_no_memory(server: ServerProcess) -> None:
    expected = references(server)
    assert all(expected[INT4, prompt] != expected[INT8, prompt] for prompt in PROMPTS), "the models must be told apart"
    process, rss = psutil.Process(server.process.pid), []
    answers = Answers()
    clients = [Client(server.url, first, expected, answers) for first in range(NUM_CLIENTS)]
    started = time.monotonic()
    for client in clients:
        client.start()
    try:
        for swap in range(NUM_SWAPS):
            until(lambda swap=swap: time.monotonic() - started >= MIN_SECONDS * swap / NUM_SWAPS, "the clock")  # type: ignore[misc]
            model = (INT4, INT8)[swap % 2]
            load(server, model)
            count = answers.count[model]
            released(server)
            readings = [process.memory_info().rss]
            while answers.count[model] < count + ANSWERS_A_SWAP and not answers.problems:
                time.sleep(0.02)
                readings.append(process.memory_info().rss)
            # The least of them: keys and values of eight answers come and go.
            rss.append(min(readings))
            assert answers.problems == []
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join()
    seconds = time.monotonic() - started
    print(  # noqa: T201
        f"{NUM_SWAPS} swaps in {seconds:.0f} s, answers {dict(answers.count)}, "
        f"longest gap {answers.longest_gap_s * 1000:.0f} ms, MB {[round(n / 1e6) for n in rss]}"
    )
    assert answers.problems == []
    # The same model's first two turns against its last one: how much the allocator holds differs from turn to turn.
    assert rss[10] <= 1.1 * max(rss[0], rss[2])
    assert rss[9] <= 1.1 * max(rss[1], rss[3])
