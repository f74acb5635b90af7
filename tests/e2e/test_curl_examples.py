"""The README's curl examples, run as they stand there against a real server."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.server_process import ServerProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine"),
]

README = Path(__file__).parents[2] / "README.md"


def examples() -> list[str]:
    """Every curl command of the README's code blocks, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if block.startswith("curl ")]


def run(example: str, server: ServerProcess) -> str:
    command = example.replace("http://127.0.0.1:18000", server.url)
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=300)  # noqa: S607
    return answer.stdout


def example_with(word: str) -> str:
    (found,) = [example for example in examples() if word in example]
    return found


def test_the_plain_example_gets_a_whole_answer(server: ServerProcess) -> None:
    answer: dict[str, Any] = json.loads(run(example_with('"temperature": 0.7'), server))
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] in {"stop", "length"}
    assert answer["usage"]["completion_tokens"] <= 512


def test_the_streaming_example_gets_events_that_end_with_done(server: ServerProcess) -> None:
    events = [
        line[6:] for line in run(example_with('"stream": true'), server).splitlines() if line.startswith("data: ")
    ]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] in {"stop", "length"}


def test_the_tool_example_gets_a_call_or_a_text(server: ServerProcess) -> None:
    answer = json.loads(run(example_with("get_weather"), server))
    message = answer["choices"][0]["message"]
    assert answer["choices"][0]["finish_reason"] in {"stop", "length", "tool_calls"}
    assert bool(message["content"]) or message["tool_calls"][0]["function"]["name"] == "get_weather"


def test_the_schema_example_gets_an_object_that_has_its_properties(server: ServerProcess) -> None:
    choice = json.loads(run(example_with('"json_schema"'), server))["choices"][0]
    if choice["finish_reason"] == "length":
        pytest.skip("the model did not come to an end within the limit")
    place = json.loads(choice["message"]["content"])
    assert list(place) == ["city", "country"]
    assert all(isinstance(value, str) for value in place.values())
