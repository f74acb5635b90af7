"""Conversations of the real model that go on after the server was killed: cheaply, and with the same words."""

import json
import signal
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.server_process import serve

pytestmark = pytest.mark.real

STORY = "Tell me more about the beaver that built a dam across the river. " * 40
WORDS = ("--offline", "--kv-cache-mb", "256")
Message = dict[str, str]


def ask(url: str, messages: list[Message], **parameters: object) -> dict[str, Any]:
    body = {"messages": messages, "max_tokens": 24, "logprobs": True, "ignore_eos": True, **parameters}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def num_cached(answer: dict[str, Any]) -> int:
    return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])


def turns(answer: dict[str, Any], first: list[Message]) -> list[Message]:
    said = answer["choices"][0]["message"]["content"]
    return [*first, {"role": "assistant", "content": said}, {"role": "user", "content": "And then?"}]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 1.0, "seed": 7}], ids=["greedy", "sampled"])
def test_a_conversation_survives_a_kill_and_says_the_same(
    default_model: Path, tmp_path: Path, sampling: dict[str, float]
) -> None:
    first: list[Message] = [{"role": "user", "content": STORY}]
    kept = (*WORDS, "--prefix-cache-dir", str(tmp_path))
    with serve(str(default_model), *kept) as running:
        turn = turns(ask(running.url, first, **sampling), first)
        ask(running.url, [{"role": "user", "content": "Hello"}])  # a step later, what was said is on its way
        within_a_minute = threading.Event()
        assert any(_written(running.url) >= 400 or within_a_minute.wait(0.1) for _ in range(600))
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(60)
    with serve(str(default_model), *kept) as running:
        warm = ask(running.url, turn, **sampling)
    with serve(str(default_model), *WORDS) as running:
        cold = ask(running.url, turn, **sampling)
    assert num_cached(cold) == 0
    assert num_cached(warm) >= cold["usage"]["prompt_tokens"] - 120
    # With every log-probability, to the last digit.
    assert warm["choices"] == cold["choices"]


def test_servers_that_share_a_folder_say_the_same_and_find_each_others_prefixes(
    default_model: Path, tmp_path: Path
) -> None:
    kept = (*WORDS, "--prefix-cache-dir", str(tmp_path), "--prefix-cache-disk-mb", "20")
    stories: list[list[Message]] = [[{"role": "user", "content": f"Tale {n}. {STORY}"}] for n in range(4)]
    with (
        serve(str(default_model), *kept) as one,
        serve(str(default_model), *kept) as other,
        ThreadPoolExecutor(4) as pool,
    ):
        asked = [(server.url, story) for story in stories for server in (one, other)]
        answers = list(pool.map(lambda each: ask(*each, temperature=0), asked))
        log = [*one.log, *other.log]
    assert all(left["choices"] == right["choices"] for left, right in zip(answers[::2], answers[1::2], strict=True))
    assert not [line for line in log if "prefix cache" in line]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 20_000_000 * 1.1
    with serve(str(default_model), *kept) as third:
        again = ask(third.url, stories[-1], temperature=0)
    assert num_cached(again) > 100
    assert again["choices"] == answers[-1]["choices"]


def _written(url: str) -> int:
    """Tokens whose keys and values are on the disk."""
    with urllib.request.urlopen(url + "/metrics", timeout=30) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    (value,) = [line.split()[-1] for line in lines if line.startswith("obeaver_prefix_disk_written_tokens_total{")]
    return int(float(value))
