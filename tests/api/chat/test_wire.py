"""OpenAI's objects as they go out."""

import json
import math

import pytest
from jsonschema import Draft202012Validator

from obeaver.api.chat import wire
from obeaver.api.contract.schema_files import answer_schemas
from obeaver.api.core.head import Head, system_fingerprint
from obeaver.api.core.logprobs import ContentToken
from obeaver.api.core.usage import Usage
from obeaver.api.openai.objects import LOWEST_LOGPROB, token_logprob, usage_object

HEAD = Head(id="chatcmpl-1", created=17, model="beaver", system_fingerprint="fp_1")
USAGE = Usage(prompt=5, completion=7, cached=3, reasoning=2)
ODD_TEXTS = [
    "",
    "plain",
    'quote " and \\',
    "line\nend\r\n",
    "null \x00",
    "🦫 né",
    "\u2028\x85",
    '"content":"',
    "{}",
    "%s",
]


def check(name: str, value: object) -> None:
    """Hold a value to what `/openapi.json` says of it."""
    definitions = answer_schemas()
    Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(value)


def test_a_completion_is_what_openai_sends() -> None:
    choice = wire.choice(0, wire.message("Hi", "", []), "stop", None)
    answer = wire.completion(HEAD, [choice], USAGE)
    check("ChatCompletion", answer)
    assert answer == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 17,
        "model": "beaver",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def test_content_is_null_where_there_are_only_calls_and_text_where_there_is_some() -> None:
    call = wire.tool_call("call_1", "f", "{}")
    assert wire.message("", "", [call])["content"] is None
    assert wire.message("Wait.", "", [call])["content"] == "Wait."
    assert wire.message("", "", [])["content"] == ""
    check("AssistantMessage", wire.message("", "", [call]))


def test_thoughts_stand_under_both_names() -> None:
    message = wire.message("4", "2+2", [])
    assert (message["reasoning_content"], message["reasoning"], message["content"]) == ("2+2", "2+2", "4")


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("include_usage", [False, True])
def test_the_fast_way_to_encode_content_gives_what_the_plain_way_gives(text: str, include_usage: bool) -> None:
    chunks = wire.ChunkText(HEAD, include_usage=include_usage)
    for index in (0, 3, 0):
        fast = chunks.content(index, text)
        assert fast == chunks.fields(index, {"content": text})
        assert json.loads(fast)["choices"][0]["delta"] == {"content": text}


def test_chunks_have_no_character_that_a_client_could_take_for_a_line_end() -> None:
    text = wire.ChunkText(HEAD, include_usage=False).content(0, "".join(ODD_TEXTS))
    assert len(text.splitlines()) == 1
    assert text.isascii()


def test_every_kind_of_chunk_is_what_openai_sends() -> None:
    chunks = wire.ChunkText(HEAD, include_usage=True)
    entries = [ContentToken(b"a", -0.5, ((b"b", -1.5),))]
    texts = [
        chunks.fields(0, {"role": "assistant", "content": ""}),
        chunks.content(0, "a"),
        chunks.content_with_logprobs(0, "a", entries),
        chunks.finish(0, "stop"),
    ]
    for text in texts:
        chunk = json.loads(text)
        check("ChatCompletionChunk", chunk)
        assert chunk["usage"] is None
        assert chunk["object"] == "chat.completion.chunk"
    last = json.loads(chunks.usage(USAGE))
    check("ChatCompletionChunk", last)
    assert (last["choices"], last["usage"]) == ([], usage_object(USAGE))


def test_usage_stands_in_no_chunk_unless_it_was_asked_for() -> None:
    assert "usage" not in json.loads(wire.ChunkText(HEAD, include_usage=False).content(0, "a"))


def test_a_token_inside_a_character_keeps_its_bytes() -> None:
    assert token_logprob("é".encode()[:1], -1.0) == {"token": "\ufffd", "logprob": -1.0, "bytes": [195]}


def test_an_impossible_token_has_a_number_that_json_can_hold() -> None:
    assert token_logprob(b"a", -math.inf)["logprob"] == LOWEST_LOGPROB


def test_the_fingerprint_is_the_same_for_the_same_model_and_build_only() -> None:
    assert system_fingerprint("1", "m", None) == system_fingerprint("1", "m", None)
    assert len({system_fingerprint(*parts) for parts in [("1", "m"), ("2", "m"), ("1", "n"), ("1", "m", "")]}) == 4
