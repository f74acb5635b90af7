"""Markers of thoughts and calls within answers that hold to a form."""

from typing import Any

import pytest
from support.scripted_model import make_grammars


def form_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


MARKERS = '{"a": "<think>b</think> <tool_call>{\\"name\\": \\"f\\"}</tool_call>"}'
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def spells(text: str) -> Any:
    """An answer in plain bytes, its markers too."""
    return lambda _prompt: list(text.encode())


@pytest.mark.parametrize("parameters", [{}, {"reasoning_effort": "none"}, {"tools": [TOOL]}])
@pytest.mark.parametrize(
    "form",
    [
        {"response_format": form_of({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})},
        {"response_format": {"type": "json_object"}},
        {"choice": [MARKERS, "no"]},
        {"regex": r'\{"a": .*\}'},
        {"grammar": 'start: "{" /[^}]+/ "}" /[^}]+/ "}"'},
    ],
    ids=lambda form: next(iter(form)),
)
async def test_markers_within_a_form_are_content(serve: Any, form: dict[str, Any], parameters: dict[str, Any]) -> None:
    if "tools" in parameters and "response_format" not in form:
        parameters = {}
    async with serve(spells(MARKERS), grammars=make_grammars()) as served:
        message = (await served.answer(**form, **parameters))["choices"][0]["message"]
        chunks = await served.stream(**form, **parameters)
    assert (message["content"], message.get("reasoning"), message.get("tool_calls")) == (MARKERS, None, None)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == MARKERS


@pytest.mark.parametrize("choice", ["<think>yes</think>no", " yes\n", "\n"])
async def test_with_thinking_off_a_form_is_content_to_the_letter(serve: Any, choice: str) -> None:
    async with serve(spells(choice), grammars=make_grammars()) as served:
        message = (await served.answer(choice=[choice, "no"], reasoning_effort="none"))["choices"][0]["message"]
    assert (message["content"], message.get("reasoning")) == (choice, None)


async def test_with_thinking_off_a_marker_within_text_is_text(serve: Any) -> None:
    text = "Write <think> and </think>."
    async with serve(spells(text)) as served:
        off = (await served.answer(reasoning_effort="none"))["choices"][0]["message"]
        on = (await served.answer())["choices"][0]["message"]
    assert (off["content"], off.get("reasoning")) == (text, None)
    assert on["reasoning"] == "and"
