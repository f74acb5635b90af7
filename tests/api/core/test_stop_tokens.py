"""Stop strings that spell control tokens, on both endpoints."""

from typing import Any

import pytest
from support.event_stream import read_json_events
from support.scripted_model import END_ID, ids_of, says

TOOL = {"type": "function", "function": {"name": "get_time"}}
CALL = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'


async def completed(served: Any, **parameters: Any) -> tuple[str, str, int]:
    """Text, reason and tokens of a completion."""
    reply = await served.post("/v1/completions", prompt="x", temperature=0, **parameters)
    assert reply.status == 200, reply.body
    choice = reply.json()["choices"][0]
    return choice["text"], choice["finish_reason"], reply.json()["usage"]["completion_tokens"]


async def answered(served: Any, **parameters: Any) -> tuple[str, str, int]:
    """The same of a chat answer."""
    answer = await served.answer(**parameters)
    choice = answer["choices"][0]
    return choice["message"]["content"], choice["finish_reason"], answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("ask", [completed, answered])
@pytest.mark.parametrize(
    ("says_what", "stop", "told"),
    [
        ("Hi<|im_start|>there", "<|im_start|>", ("Hi", "stop", 3)),
        ("<|im_start|>there", ["x", "<|im_start|>"], ("", "stop", 1)),
        ("Hi<|im_start|>user", "<|im_start|>us", ("Hi", "stop", 5)),
        ("Hi<|im_start|>you", "<|im_start|>us", ("Hiyou", "stop", 7)),
        ("Hi<|endoftext|>there", "<|im_start|>", ("Hithere", "stop", 9)),
    ],
)
async def test_a_stop_string_that_spells_a_control_token_stops_there(
    serve: Any, ask: Any, says_what: str, stop: Any, told: tuple[str, str, int]
) -> None:
    async with serve(says(says_what)) as served:
        assert await ask(served, stop=stop) == told


@pytest.mark.parametrize("ask", [completed, answered])
async def test_a_forced_control_token_stops_at_once(serve: Any, ask: Any) -> None:
    forced = {str(ids_of("<|im_start|>")[0]): 100}
    async with serve() as served:
        assert await ask(served, stop=["<|im_start|>"], logit_bias=forced, max_tokens=6) == ("", "stop", 1)
        assert await ask(served, logit_bias=forced, max_tokens=6) == ("", "length", 6)


@pytest.mark.parametrize("ask", [completed, answered])
async def test_the_end_of_the_text_as_a_stop_string_stops_where_it_is_ignored_else(serve: Any, ask: Any) -> None:
    def reply(_prompt: str) -> list[int]:
        return [*b"Hi", END_ID, *b"more"]

    async with serve(reply) as served:
        assert await ask(served, ignore_eos=True, stop="<|im_end|>", max_tokens=6) == ("Hi", "stop", 3)
        assert await ask(served, ignore_eos=True, max_tokens=6) == ("Himor", "length", 6)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_nothing_of_it_leaks_into_a_stream(serve: Any, path: str) -> None:
    request = {"prompt": "x"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "x"}]}
    async with serve(says("Hi<|im_start|>user said")) as served:
        reply = await served.post(path, **request, temperature=0, stream=True, stop=["<|im_start|>user"])
    choices = [chunk["choices"][0] for chunk in read_json_events(reply.body)]
    text = "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)
    assert (text, choices[-1]["finish_reason"]) == ("Hi", "stop")


async def test_a_control_token_stops_thoughts_and_calls(serve: Any) -> None:
    async with serve(says("<think>Hm<|im_start|>")) as served:
        message = (await served.answer(stop="<|im_start|>"))["choices"][0]["message"]
        assert (message["reasoning"], message["content"]) == ("Hm", "")
    async with serve(says(f"{CALL}<|im_start|>{CALL}")) as served:
        choice = (await served.answer(stop="<|im_start|>", tools=[TOOL]))["choices"][0]
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("tool_calls", 1)


async def test_log_probabilities_end_in_front_of_it(serve: Any) -> None:
    async with serve(says("Hi<|im_start|>")) as served:
        choice = (await served.answer(stop="<|im_start|>", logprobs=True))["choices"][0]
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == ["H", "i"]
