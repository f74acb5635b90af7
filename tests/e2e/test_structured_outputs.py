"""Structured outputs on the real default model, with the official client."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field
from support.server_process import ServerProcess

pytestmark = pytest.mark.real

TEXT = (Path(__file__).parent / "schemas.json").read_text("utf-8")
SCHEMAS: list[dict[str, Any]] = json.loads(TEXT)
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Answer with a short example in JSON."}]
TOKENS = 96
AT_ONCE = 10


class Step(BaseModel):
    explanation: str = Field(max_length=40)
    # A number without bounds may have digits without end, and a small model likes them.
    output: int = Field(ge=-100, le=100)


class Solution(BaseModel):
    steps: list[Step] = Field(min_length=1, max_length=2)
    mood: Literal["sure", "unsure"]
    note: str | None = Field(max_length=20)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield client


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_the_clients_parse_gives_an_object_of_the_callers_class(client: openai.OpenAI, temperature: float) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Solve 3x + 2 = 8 step by step."}]
    answer = client.chat.completions.parse(
        model="any", messages=messages, response_format=Solution, max_tokens=400, temperature=temperature, seed=3
    )
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Solution)
    assert 1 <= len(parsed.steps) <= 2


def test_the_schemas_are_fifty_different_ones() -> None:
    assert len(SCHEMAS) == 50
    assert len({json.dumps(entry["schema"], sort_keys=True) for entry in SCHEMAS}) == 50


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.5])
async def test_every_answer_that_ended_is_valid_under_its_schema(server: ServerProcess, temperature: float) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def ask(client: openai.AsyncOpenAI, entry: dict[str, Any]) -> tuple[str, str, str | None]:
        form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": entry["schema"]}}
        async with limit:
            answer = await client.chat.completions.create(
                model="any", messages=ASK, response_format=form, max_tokens=TOKENS, temperature=temperature, seed=11
            )
        choice = answer.choices[0]
        return entry["name"], choice.finish_reason, choice.message.content

    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=300) as client:
        answers = await asyncio.gather(*(ask(client, entry) for entry in SCHEMAS))
    ended = {name: content for name, reason, content in answers if reason == "stop"}
    assert {reason for _, reason, _ in answers} <= {"stop", "length"}
    assert len(ended) >= 40
    assert {name: content for name, content in ended.items() if not is_valid(name, content)} == {}


def is_valid(name: str, content: str | None) -> bool:
    """In decimal numbers, as JSON has them: in binary ones, 20.17 is not a multiple of 0.01."""
    schema = next(entry["schema"] for entry in json.loads(TEXT, parse_float=Decimal) if entry["name"] == name)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return content is not None and validator.is_valid(json.loads(content, parse_float=Decimal))


def test_a_streamed_form_is_the_same_text(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {
        "model": "any",
        "messages": ASK,
        "response_format": {"type": "json_object"},
        "max_tokens": 60,
        "temperature": 1.0,
        "seed": 5,
    }
    plain = client.chat.completions.create(**request).choices[0].message.content
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain


@pytest.mark.parametrize(
    ("extra", "allowed"),
    [
        ({"choice": ["beaver", "otter"]}, {"beaver", "otter"}),
        ({"regex": "[ab]{2}"}, {"aa", "ab", "ba", "bb"}),
        ({"grammar": 'start: "x" | "y"'}, {"x", "y"}),
        ({"grammar": 'root ::= "x" | "y"'}, {"x", "y"}),
    ],
)
def test_the_extensions_hold_the_answer(client: openai.OpenAI, extra: dict[str, Any], allowed: set[str]) -> None:
    answer = client.chat.completions.create(
        model="any", messages=ASK, max_tokens=20, temperature=2.0, seed=1, extra_body=extra
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content in allowed
