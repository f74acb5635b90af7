"""`timings`: what an answer took, in llama.cpp's words, whole and streamed, of conversations and of prompts."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.event_stream import read_json_events
from support.scripted_model import says

from obeaver.api.contract.schema_files import answer_schemas
from obeaver.api.core.usage import Timings, Usage
from obeaver.api.openai.objects import timings_object

ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Count."}]},
    "/v1/completions": {"prompt": "Count."},
}
PATHS = list(ASKED)


def check(timings: dict[str, Any]) -> dict[str, Any]:
    Draft202012Validator({"$ref": "#/$defs/Timings", "$defs": answer_schemas()}).validate(timings)
    assert min(timings.values()) >= 0
    return timings


def test_a_pace_is_of_what_was_timed() -> None:
    told = timings_object(Usage(prompt=12, completion=5, cached=2, reasoning=0), Timings(20_000_000, 8_000_000))
    assert told == {
        "cache_n": 2,
        "prompt_n": 10,
        "prompt_ms": 20.0,
        "prompt_per_token_ms": 2.0,
        "prompt_per_second": 500.0,
        "predicted_n": 5,
        "predicted_ms": 8.0,
        "predicted_per_token_ms": 2.0,
        "predicted_per_second": 500.0,
    }


@pytest.mark.parametrize("usage", [Usage(3, 1, 3, 0), Usage(3, 0, 0, 0)])
def test_what_took_no_time_has_no_pace(usage: Usage) -> None:
    told = check(timings_object(usage, Timings(0, 0)))
    assert (told["prompt_per_second"], told["predicted_per_second"]) == (0, 0)


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_tells_what_it_took(path: str, serve: Any) -> None:
    async with serve(says("one two")) as served:
        silent = await served.post(path, **ASKED[path])
        told = await served.post(path, **ASKED[path], timings_per_token=True)
    assert "timings" not in silent.json()
    timings, usage = check(told.json()["timings"]), told.json()["usage"]
    assert timings["predicted_n"] == usage["completion_tokens"]
    assert timings["cache_n"] == usage["prompt_tokens_details"]["cached_tokens"]
    assert timings["prompt_n"] + timings["cache_n"] == usage["prompt_tokens"]
    assert timings["prompt_ms"] > 0


@pytest.mark.parametrize("path", PATHS)
async def test_every_chunk_of_a_stream_tells_what_it_took_so_far(path: str, serve: Any) -> None:
    options = {"include_usage": True}
    async with serve(says("one two")) as served:
        reply = await served.post(path, **ASKED[path], stream=True, stream_options=options, timings_per_token=True)
    chunks = read_json_events(reply.body)
    found = [check(chunk["timings"]) for chunk in chunks]
    counts = [timings["predicted_n"] for timings in found]
    assert counts == sorted(counts)
    assert found[-1]["predicted_n"] == chunks[-1]["usage"]["completion_tokens"]
    assert {timings["prompt_n"] + timings["cache_n"] for timings in found} == {chunks[-1]["usage"]["prompt_tokens"]}
