"""Legacy completions, from bytes to bytes. One token a byte, so numbers can be counted."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support import asgi
from support.event_stream import read_events, read_json_events
from support.scripted_model import CONTEXT_LENGTH, END_ID, SLOW_STEP_S, SPECIALS, VOCAB_SIZE, ids_of, says

from obeaver.api.completions.request import MAX_CHOICES
from obeaver.api.contract.schema_files import answer_schemas
from obeaver.engine.decoding.sequence import FinishReason

PATH = "/v1/completions"


def check(name: str, value: object) -> None:
    """Hold an answer to what `/openapi.json` says of it."""
    definitions = answer_schemas()
    Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(value)


async def complete(served: Any, prompt: object = "Say: ", **parameters: Any) -> dict[str, Any]:
    reply = await served.post(PATH, **{"prompt": prompt, "temperature": 0, "max_tokens": 100} | parameters)
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    check("Completion", answer)
    return answer


async def stream(served: Any, prompt: object = "Say: ", **parameters: Any) -> list[dict[str, Any]]:
    sent = {"prompt": prompt, "temperature": 0, "max_tokens": 100, "stream": True}
    reply = await served.post(PATH, **sent | parameters)
    assert reply.status == 200, reply.body
    assert read_events(reply.body)[-1] == "[DONE]"
    chunks: list[dict[str, Any]] = read_json_events(reply.body)
    for chunk in chunks:
        check("CompletionChunk", chunk)
    return chunks


async def refusal(served: Any, **parameters: Any) -> dict[str, Any]:
    reply = await served.post(PATH, **{"prompt": "Say: "} | parameters)
    assert reply.status == 400, reply.body
    assert reply.error["type"] == "invalid_request_error"
    error: dict[str, Any] = reply.error
    return error


def texts(answer: dict[str, Any]) -> list[str]:
    return [choice["text"] for choice in answer["choices"]]


def choices_of(chunks: Iterable[dict[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    return [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]


def joined(chunks: Iterable[dict[str, Any]], index: int = 0) -> str:
    return "".join(choice["text"] for choice in choices_of(chunks, index))


def joined_logprobs(chunks: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    parts = [choice["logprobs"] for choice in choices_of(chunks) if choice["logprobs"] is not None]
    return {key: [value for part in parts for value in part[key]] for key in parts[0]}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # counters of another thread
            await asyncio.sleep(0.001)


def remembering(prompts: list[str], answer: str = "Fine") -> Callable[[str], list[int]]:
    def reply(prompt: str) -> list[int]:
        prompts.append(prompt)
        return ids_of(answer)

    return reply


async def test_a_whole_answer(serve: Any) -> None:
    async with serve(says(" né 🦫!")) as served:
        answer = await complete(served, model="whatever")
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["created"], answer["model"]) == ("text_completion", 1_800_000_000, "scripted")
    assert answer["choices"] == [{"index": 0, "text": " né 🦫!", "logprobs": None, "finish_reason": "stop"}]
    num_answer = len(" né 🦫!".encode()) + 1
    assert answer["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": num_answer,
        "total_tokens": 5 + num_answer,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


async def test_a_stream_says_the_same_in_pieces(serve: Any) -> None:
    async with serve(says(" né 🦫!")) as served:
        answer = await complete(served)
        chunks = await stream(served)
    assert joined(chunks) == texts(answer)[0]
    assert chunks[-1]["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]
    assert [choice["finish_reason"] for choice in choices_of(chunks)[:-1]] == [None] * (len(chunks) - 1)
    assert len({(chunk["id"], chunk["created"], chunk["system_fingerprint"]) for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


async def test_usage_at_the_end_of_a_stream(serve: Any) -> None:
    async with serve() as served:
        answer = await complete(served)
        chunks = await stream(served, stream_options={"include_usage": True})
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], answer["usage"])
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


async def test_the_default_limit_is_16_tokens(serve: Any) -> None:
    async with serve(says("x" * 50)) as served:
        reply = await served.post(PATH, prompt="Say: ", temperature=0)
    assert reply.json()["choices"][0] == {"index": 0, "text": "x" * 16, "logprobs": None, "finish_reason": "length"}


async def test_the_prompt_reaches_the_model_as_it_is_and_control_tokens_in_it_act(serve: Any) -> None:
    prompts: list[str] = []
    text = "<|im_start|>user\nHi"
    async with serve(remembering(prompts)) as served:
        answer = await complete(served, text)
        as_ids = await complete(served, ids_of(text))
    assert prompts == [text, text]
    assert answer["usage"]["prompt_tokens"] == len(text) - len("<|im_start|>") + 1
    assert as_ids["choices"] == answer["choices"]


@pytest.mark.parametrize("as_ids", [False, True])
async def test_several_prompts_are_answered_in_their_order(serve: Any, as_ids: bool) -> None:
    prompts = ["one", "two and", "three"]
    async with serve(lambda prompt: ids_of(f"<{prompt}>")) as served:
        given = [ids_of(prompt) for prompt in prompts] if as_ids else prompts
        answer = await complete(served, given, n=2)
        chunks = await stream(served, given, n=2)
    expected = [f"<{prompt}>" for prompt in prompts for _ in range(2)]
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    assert texts(answer) == expected
    assert [joined(chunks, index) for index in range(6)] == expected
    assert answer["usage"]["prompt_tokens"] == sum(map(len, prompts))
    assert answer["usage"]["completion_tokens"] == sum(len(text) + 1 for text in expected)


async def test_a_seed_gives_the_same_texts_again_and_choices_their_own(serve: Any) -> None:
    async with serve(lambda _prompt: None) as served:
        hot = {"temperature": 1.0, "max_tokens": 12, "seed": 7}
        alone = await complete(served, **hot)
        four = await complete(served, **hot, n=4, best_of=4)
        again = await complete(served, **hot, n=4, best_of=1)
        other = await complete(served, **hot | {"seed": 8})
    assert texts(four) == texts(again)
    assert texts(four)[0] == texts(alone)[0] != texts(other)[0]
    assert len(set(texts(four))) == 4


async def test_stop_strings_never_leak_and_are_not_sought_in_the_prompt(serve: Any) -> None:
    text = "The end. STO STOP here"
    async with serve(says(text)) as served:
        for stop in ("STOP", ["zzz", "STOP"], [" ", "The"], text, "T", "here", "nowhere"):
            found = [text.index(s) for s in ([stop] if isinstance(stop, str) else stop) if s in text]
            expected = "STOP " + (text[: min(found)] if found else text)
            answer = await complete(served, "STOP ", stop=stop, echo=True)
            chunks = await stream(served, "STOP ", stop=stop, echo=True)
            assert (texts(answer), joined(chunks)) == ([expected], expected)
            assert choices_of(chunks)[-1]["finish_reason"] == answer["choices"][0]["finish_reason"] == "stop"


async def test_end_of_text_is_ignored_or_put_off_where_that_is_asked_for(serve: Any) -> None:
    async with serve(lambda _prompt: [*b"ab", END_ID, *b"cd"]) as served:
        assert texts(await complete(served, max_tokens=5)) == ["ab"]
        assert texts(await complete(served, max_tokens=5, ignore_eos=True)) == ["abcd"]
        assert (await complete(served, max_tokens=5, min_tokens=5))["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"top_p": 0.01}, {"min_p": 1}], ids=str)
async def test_the_narrowest_filters_leave_the_likeliest_token(serve: Any, filters: dict[str, Any]) -> None:
    async with serve(lambda _prompt: None) as served:
        # All letters are equally likely but this one.
        hot = {"temperature": 2, "max_tokens": 8, "seed": 1, "logit_bias": {str(ord("m")): 1}}
        assert texts(await complete(served, **hot | filters)) == ["m" * 8]
        assert texts(await complete(served, **hot)) != ["m" * 8]


async def test_a_bias_and_penalties_change_what_is_chosen(serve: Any) -> None:
    async with serve(says("aaaaaaaa")) as served:
        assert texts(await complete(served, max_tokens=3, logit_bias={str(ord("z")): 100})) == ["zzz"]
        for penalty in ({"presence_penalty": 2}, {"frequency_penalty": 2}, {"repetition_penalty": 10}):
            strong = penalty | {"logit_bias": {str(ord("b")): 19}, "max_tokens": 8}
            assert "b" in texts(await complete(served, **strong))[0]
        assert texts(await complete(served, max_tokens=8, logit_bias={str(ord("b")): 19})) == ["aaaaaaaa"]


class TestEcho:
    async def test_the_text_begins_with_the_prompt(self, serve: Any) -> None:
        async with serve(says(" there")) as served:
            answer = await complete(served, "Hi", echo=True)
            chunks = await stream(served, "Hi", echo=True)
        assert (texts(answer), joined(chunks)) == (["Hi there"], "Hi there")
        assert chunks[0]["choices"][0]["text"] == "Hi"
        assert answer["usage"]["completion_tokens"] == len(" there") + 1

    async def test_token_ids_come_back_as_the_text_that_they_stand_for(self, serve: Any) -> None:
        async with serve(says(".")) as served:
            answer = await complete(served, ids_of("<|im_start|>né"), echo=True)
        assert texts(answer) == ["<|im_start|>né."]

    @pytest.mark.parametrize("logprobs", [None, 1])
    async def test_with_a_limit_of_0_nothing_else_comes(self, serve: Any, logprobs: int | None) -> None:
        async with serve(says(" there")) as served:
            answer = await complete(served, ["Hi", "You"], echo=True, max_tokens=0, logprobs=logprobs)
            chunks = await stream(
                served, "Hi", echo=True, max_tokens=0, logprobs=logprobs, stream_options={"include_usage": True}
            )
        assert texts(answer) == ["Hi", "You"]
        assert [choice["finish_reason"] for choice in answer["choices"]] == ["length", "length"]
        assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (5, 0)
        assert joined(chunks) == "Hi"
        assert choices_of(chunks)[-1]["finish_reason"] == "length"
        assert chunks[-1]["usage"]["completion_tokens"] == 0

    async def test_with_logprobs_the_prompts_tokens_have_theirs(self, serve: Any) -> None:
        async with serve(says(" there")) as served:
            for prompt in ("Hi né", ids_of("Hi né")):
                answer = await complete(served, prompt, echo=True, logprobs=2)
                chunks = await stream(served, prompt, echo=True, logprobs=2)
                logprobs = answer["choices"][0]["logprobs"]
                assert joined_logprobs(chunks) == logprobs
                assert logprobs["tokens"] == [*"Hi n", "bytes:\\xc3", "bytes:\\xa9", *" there"]
                assert logprobs["text_offset"] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10]
                assert (logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]) == (None, None)
                assert all(-1e-5 < value <= 0 for value in logprobs["token_logprobs"][1:])
                pairs = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
                assert all(top[token] == value == max(top.values()) for token, value, top in list(pairs)[1:])
                assert [len(top) for top in logprobs["top_logprobs"][1:]] == [2] * 11

    async def test_what_evaluation_harnesses_ask_for(self, serve: Any) -> None:
        """Context and continuation as one prompt of ids; the continuation's part of the lists is its likelihood."""
        context, continuation = ids_of("The sky is"), ids_of(" blue")
        async with serve(says("!")) as served:
            answer = await complete(served, [context + continuation] * 2, echo=True, logprobs=1, max_tokens=1, seed=1)
        for choice in answer["choices"]:
            part = slice(len(context), -1)
            assert choice["logprobs"]["tokens"][part] == list(" blue")
            assert sum(choice["logprobs"]["token_logprobs"][part]) == pytest.approx(0, abs=1e-4)

    async def test_a_prompt_of_one_token_has_no_values(self, serve: Any) -> None:
        async with serve(says("b")) as served:
            logprobs = (await complete(served, "a", echo=True, logprobs=0, max_tokens=1))["choices"][0]["logprobs"]
        assert logprobs["tokens"] == ["a", "b"]
        assert logprobs["token_logprobs"][0] is None

    async def test_where_the_runner_gives_no_logits_of_the_prompt_it_is_refused(self, serve: Any) -> None:
        async with serve(gives_all_logits=False) as served:
            error = await refusal(served, echo=True, logprobs=1)
            assert (error["param"], error["code"]) == ("echo", "unsupported_value")
            assert texts(await complete(served, echo=True)) == ["Say: Hello"]


class TestLogprobs:
    async def test_every_token_of_the_text_has_its_own(self, serve: Any) -> None:
        async with serve(says("né🦫")) as served:
            answer = await complete(served, logprobs=3)
            chunks = await stream(served, logprobs=3)
        logprobs = answer["choices"][0]["logprobs"]
        assert joined_logprobs(chunks) == logprobs
        parts = [f"bytes:\\x{byte:02x}" for byte in "é🦫".encode()]
        assert logprobs["tokens"] == ["n", *parts]
        assert logprobs["text_offset"] == [0, 1, 1, 2, 2, 2, 2]
        assert all(len(top) == 3 for top in logprobs["top_logprobs"])

    async def test_the_token_itself_is_always_among_the_alternatives(self, serve: Any) -> None:
        async with serve(lambda _prompt: None) as served:
            answer = await complete(served, logprobs=0, temperature=2, max_tokens=9, seed=3)
        logprobs = answer["choices"][0]["logprobs"]
        values = zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)
        assert logprobs["top_logprobs"] == [{token: value} for token, value in values]

    async def test_they_end_where_a_stop_string_begins(self, serve: Any) -> None:
        async with serve(says("one STOP two")) as served:
            choice = (await complete(served, logprobs=0, stop="STOP"))["choices"][0]
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"] == "one "

    async def test_an_empty_text_has_empty_lists(self, serve: Any) -> None:
        async with serve(says("")) as served:
            choice = (await complete(served, logprobs=1))["choices"][0]
        assert choice["logprobs"] == {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prompt": ({"prompt": None}, "prompt", "missing_required_parameter"),
    "a prompt that is a number": ({"prompt": 5}, "prompt", "invalid_type"),
    "a prompt that is an object": ({"prompt": {}}, "prompt", "invalid_type"),
    "an empty text": ({"prompt": ""}, "prompt", "invalid_value"),
    "an empty text among others": ({"prompt": ["a", ""]}, "prompt[1]", "invalid_value"),
    "no prompts": ({"prompt": []}, "prompt", "invalid_value"),
    "no ids": ({"prompt": [[1], []]}, "prompt[1]", "invalid_value"),
    "ids and texts": ({"prompt": [1, "a"]}, "prompt[1]", "invalid_type"),
    "ids and arrays": ({"prompt": [[1], 1]}, "prompt[1]", "invalid_type"),
    "arrays of texts": ({"prompt": [["a"]]}, "prompt[0][0]", "invalid_type"),
    "half a token": ({"prompt": [0.5]}, "prompt[0]", "invalid_type"),
    "a negative id": ({"prompt": [-1]}, "prompt[0]", "invalid_value"),
    "an id beyond the vocabulary": ({"prompt": [VOCAB_SIZE]}, "prompt", "invalid_value"),
    "such an id among others": ({"prompt": [[1], [VOCAB_SIZE]]}, "prompt[1]", "invalid_value"),
    "too many prompts": ({"prompt": ["a"] * (MAX_CHOICES + 1)}, "prompt", "invalid_value"),
    "too many answers": ({"prompt": ["a"] * 65, "n": 2}, "prompt", "invalid_value"),
    "a prompt beyond the context": ({"prompt": [1] * CONTEXT_LENGTH}, "prompt", "context_length_exceeded"),
    "no tokens and no echo": ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    "a negative limit": ({"max_tokens": -2}, "max_tokens", "invalid_value"),
    "more minimum than limit": ({"max_tokens": 3, "min_tokens": 4}, "min_tokens", "invalid_value"),
    "the best of several": ({"best_of": 3}, "best_of", "invalid_value"),
    "another best_of than n": ({"best_of": 3, "n": 2}, "best_of", "invalid_value"),
    "logprobs as in chat": ({"logprobs": True}, "logprobs", "invalid_type"),
    "too many logprobs": ({"logprobs": 21}, "logprobs", "invalid_value"),
    "a suffix": ({"suffix": "end"}, "suffix", "unsupported_parameter"),
    "a form": ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
    "a grammar": ({"grammar": "start: /a/"}, "grammar", "unsupported_parameter"),
    "a regular expression": ({"regex": "a"}, "regex", "unsupported_parameter"),
    "a choice": ({"choice": ["a"]}, "choice", "unsupported_parameter"),
    "beams": ({"use_beam_search": True}, "use_beam_search", "unsupported_parameter"),
    "logprobs of the prompt by another name": ({"prompt_logprobs": 1}, "prompt_logprobs", "unsupported_parameter"),
    "stream options without a stream": ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    "a bias beyond the vocabulary": ({"logit_bias": {str(VOCAB_SIZE): 1}}, "logit_bias", "invalid_value"),
    "a hot temperature": ({"temperature": 3}, "temperature", "invalid_value"),
}


@pytest.mark.parametrize(("parameters", "param", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_honoured_is_refused_by_name(
    serve: Any, parameters: dict[str, Any], param: str, code: str
) -> None:
    async with serve() as served:
        error = await refusal(served, **parameters)
        assert (error["param"], error["code"]) == (param, code)
        assert texts(await complete(served)) == ["Hello"]


async def test_a_model_that_wants_bos_gets_it_once_before_texts_and_never_before_ids(serve: Any) -> None:
    prompts: list[str] = []
    bos = SPECIALS[0]
    async with serve(remembering(prompts), add_bos=True) as served:
        answer = await complete(served, "Hi", echo=True, logprobs=0)
        await complete(served, f"{bos}Hi")
        await complete(served, ids_of("Hi"))
        await complete(served, "")
    assert prompts == [f"{bos}Hi", f"{bos}Hi", "Hi", bos]
    (choice,) = answer["choices"]
    assert choice["text"] == "HiFine"
    assert choice["logprobs"]["tokens"] == [bos, *"HiFine"]
    assert choice["logprobs"]["text_offset"] == [0, 0, 1, 2, 3, 4, 5]
    assert answer["usage"]["prompt_tokens"] == 3


async def test_a_client_that_leaves_frees_all_its_places(serve: Any) -> None:
    async with serve(says("x" * 3900), step_s=SLOW_STEP_S) as served:
        body = json.dumps({"prompt": ["a", "b"], "max_tokens": 4000}).encode()
        scope = asgi.http_scope("POST", PATH, headers={"content-type": "application/json"})
        async with asgi.exchange(served.app, scope, [body]) as (exchange, task):
            await until(lambda: served.worker.snapshot().num_running == 2)
            await exchange.leave()
            await task
        await until(lambda: served.worker.snapshot().num_running == 0)
        assert served.worker.snapshot().totals.finished[FinishReason.ABORTED] == 2


async def test_thoughts_and_calls_are_text_like_all_else(serve: Any) -> None:
    async with serve(says('{"name": "f", "arguments": {}}')) as served:
        assert texts(await complete(served)) == ['{"name": "f", "arguments": {}}']
