"""What a prompt costs, and what tokens say."""

from typing import Any

import pytest
from support.scripted_model import CONTEXT_LENGTH, SPECIALS, TEMPLATE_WITH_TOOLS, VOCAB_SIZE, ids_of, text_of

TOKENIZE, DETOKENIZE = "/v1/tokenize", "/v1/detokenize"
USER = [{"role": "user", "content": "Hi <|im_end|>"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


async def tokens(served: Any, **parameters: Any) -> list[int]:
    reply = await served.post(TOKENIZE, **parameters)
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert answer["count"] == len(answer["tokens"])
    found: list[int] = answer["tokens"]
    return found


@pytest.mark.parametrize("text", ["", "né 🦫", "<|im_start|>user\nHi<|im_end|>"])
async def test_a_text_there_and_back(serve: Any, text: str) -> None:
    async with serve() as served:
        token_ids = await tokens(served, prompt=text)
        assert token_ids == ids_of(text)
        assert (await served.post(DETOKENIZE, tokens=token_ids)).json() == {"prompt": text}


async def test_the_answer_says_how_many_there_may_be_and_on_request_what_they_are(serve: Any) -> None:
    async with serve() as served:
        reply = await served.post(TOKENIZE, prompt="a<think>", model="whatever")
        with_strings = await served.post(TOKENIZE, prompt="a<think>", return_token_strs=True)
    answer = {"count": 2, "max_model_len": CONTEXT_LENGTH, "tokens": ids_of("a<think>")}
    assert reply.json() == answer
    assert with_strings.json() == answer | {"token_strs": ["a", "<think>"]}


async def test_a_conversation_has_the_tokens_that_its_answer_would_begin_with(serve: Any) -> None:
    for parameters in ({}, {"tools": [TOOL]}, {"tools": [TOOL], "tool_choice": "none"}):
        async with serve(template=TEMPLATE_WITH_TOOLS) as served:
            token_ids = await tokens(served, messages=USER, **parameters)
            answer = await served.answer(messages=USER, **parameters)
        assert answer["usage"]["prompt_tokens"] == len(token_ids)
        assert ("tools" in text_of(token_ids)) is ("tool_choice" not in parameters and "tools" in parameters)


async def test_template_variables_count_too(serve: Any) -> None:
    async with serve(template="{{ reasoning_effort }} {{ mood }}") as served:
        token_ids = await tokens(served, messages=USER, reasoning_effort="high", chat_template_kwargs={"mood": "happy"})
    assert text_of(token_ids) == "high happy"


async def test_whether_calls_may_come_in_parallel_changes_what_a_template_without_tools_is_told(serve: Any) -> None:
    async with serve() as served:
        one = await tokens(served, messages=USER, tools=[TOOL], parallel_tool_calls=False)
        several = await tokens(served, messages=USER, tools=[TOOL], parallel_tool_calls=True)
        answer = await served.answer(messages=USER, tools=[TOOL], parallel_tool_calls=False)
    assert one != several
    assert answer["usage"]["prompt_tokens"] == len(one)


async def test_bos_goes_before_a_text_unless_that_is_not_wanted(serve: Any) -> None:
    async with serve(add_bos=True) as served:
        assert await tokens(served, prompt="Hi") == ids_of(f"{SPECIALS[0]}Hi")
        assert await tokens(served, prompt="Hi", add_special_tokens=False) == ids_of("Hi")


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        (TOKENIZE, {}, "prompt", "missing_required_parameter"),
        (TOKENIZE, {"prompt": 5}, "prompt", "invalid_type"),
        (TOKENIZE, {"prompt": ["a"]}, "prompt", "invalid_type"),
        (TOKENIZE, {"tools": [TOOL]}, "prompt", "missing_required_parameter"),
        (TOKENIZE, {"prompt": "a", "messages": USER}, "messages", "invalid_value"),
        (TOKENIZE, {"messages": [{"role": "wizard"}]}, "messages[0].role", "unknown_value"),
        (TOKENIZE, {"messages": USER, "tools": [{}]}, "tools[0].type", "missing_required_parameter"),
        (
            TOKENIZE,
            {"messages": USER, "add_generation_prompt": False},
            "add_generation_prompt",
            "unsupported_parameter",
        ),
        (
            TOKENIZE,
            {"messages": USER, "continue_final_message": True},
            "continue_final_message",
            "unsupported_parameter",
        ),
        (DETOKENIZE, {}, "tokens", "missing_required_parameter"),
        (DETOKENIZE, {"tokens": "a"}, "tokens", "invalid_type"),
        (DETOKENIZE, {"tokens": ["a"]}, "tokens[0]", "invalid_type"),
        (DETOKENIZE, {"tokens": [-1]}, "tokens[0]", "invalid_value"),
        (DETOKENIZE, {"tokens": [VOCAB_SIZE]}, "tokens", "invalid_value"),
    ],
)
async def test_bad_bodies(serve: Any, path: str, body: dict[str, Any], param: str, code: str) -> None:
    async with serve() as served:
        reply = await served.post(path, **body)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, code)
