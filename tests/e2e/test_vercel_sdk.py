"""Vercel's AI SDK with zod, in a program of its own, against a real server and a real model."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.server_process import ServerProcess

from conformance.live import CannotRun, node_packages

pytestmark = pytest.mark.real

PACKAGES = ("ai", "@ai-sdk/openai-compatible", "zod")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "obeaver-vercel-sdk"
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def told(server: ServerProcess) -> dict[str, Any]:
    """What the SDK made of the server's answers."""
    try:
        folder = node_packages(PACKAGES, CACHE)
    except CannotRun as reason:
        pytest.skip(str(reason))
    program = str(Path(__file__).with_name("vercel_client.mjs"))
    words = ["node", program, str(folder), server.url + "/v1", "smollm2-135m"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", ["person", "record", "formats"])
def test_a_structured_answer_is_what_its_zod_schema_says(told: dict[str, Any], name: str) -> None:
    assert told[name]["valid"]
    assert told[name]["finishReason"] == "stop"


@pytest.mark.parametrize("loop", ["loop", "streamedLoop"])
def test_a_tool_is_called_and_its_result_answered(told: dict[str, Any], loop: str) -> None:
    first, second = told[loop]["steps"]
    assert (first["calls"], first["results"], first["reason"]) == (1, 1, "tool-calls")
    assert (second["calls"], second["results"]) == (0, 0)
    assert second["reason"] in {"stop", "length"}
    assert told[loop]["calls"][0]["city"]
    assert told[loop]["text"].strip()
