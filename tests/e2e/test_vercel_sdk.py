"""Vercel's AI SDK with zod, in a program of its own, against a real server and a real model."""

from pathlib import Path
from typing import Any

import pytest
from support import node_program
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

PACKAGES = ("ai", "@ai-sdk/openai-compatible", "zod")
PROGRAM = Path(__file__).with_name("vercel_client.mjs")


@pytest.fixture(scope="module")
def told(server: ServerProcess) -> dict[str, Any]:
    """What the SDK made of the server's answers."""
    folder = node_program.packages(PACKAGES, "obeaver-vercel-sdk")
    found: dict[str, Any] = node_program.run(PROGRAM, str(folder), server.url + "/v1", "smollm2-135m")
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
