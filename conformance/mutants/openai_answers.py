"""Defects of whole answers, errors, headers and vectors."""

import base64
import itertools
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from conformance.http_bytes import Response
from conformance.mutants.breaking import Break, count_one_more, each_choice, in_headers, in_json, with_status, without
from conformance.proxy import response_bytes


def _call(choice: dict[str, Any]) -> dict[str, Any]:
    call: dict[str, Any] = choice["message"]["tool_calls"][0]
    return call


def _vectors(value: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = value.get("data", [])
    return [item for item in data if "embedding" in item]


def _double(value: Any) -> None:
    for item in _vectors(value):
        if isinstance(item["embedding"], list):
            item["embedding"] = [2 * number for number in item["embedding"]]


def _swap_vectors(value: Any) -> None:
    data = _vectors(value)
    if len(data) > 1:
        data[0]["embedding"], data[1]["embedding"] = data[1]["embedding"], data[0]["embedding"]


def _reverse_vectors(value: Any) -> None:
    if "data" in value:
        value["data"].reverse()


def _base64(form: str) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for item in _vectors(value):
            if isinstance(item["embedding"], str):
                numbers = [number for (number,) in struct.iter_unpack("<f", base64.b64decode(item["embedding"]))]
                item["embedding"] = base64.b64encode(struct.pack(form.format(len(numbers)), *numbers)).decode()

    return change


def _always_floats(value: Any) -> None:
    for item in _vectors(value):
        if isinstance(item["embedding"], str):
            raw = base64.b64decode(item["embedding"])
            item["embedding"] = [number for (number,) in struct.iter_unpack("<f", raw)]


def _error(change: Callable[[dict[str, Any]], object]) -> Break:
    return in_json(lambda value: change(value["error"]) and None if "error" in value else None)


def _entries(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = choice["logprobs"]["content"]
    return entries


def _not_a_number(response: Response) -> Response:
    return replace(response, body=re.sub(rb'"logprob":\s*-?[\d.e-]+', b'"logprob": NaN', response.body, count=1))


def _never_the_same() -> Break:
    numbers = itertools.count()
    return each_choice(lambda choice: choice["message"].update(content=f"Answer {next(numbers)}."))


def _longer_than_said(response: Response) -> bytes:
    return response_bytes(response, content_length=len(response.body) - 1)


def _shorter_than_said(response: Response) -> bytes:
    return response_bytes(response, content_length=len(response.body) + 7)


DEFECTS: dict[str, Break] = {
    "usage-off-by-one": in_json(count_one_more("total_tokens")),
    "one-token-too-many": in_json(count_one_more("completion_tokens")),
    "no-usage": in_json(without(["usage"])),
    "wrong-model": in_json(lambda v: v.update(model="gpt-99") if "choices" in v else None),
    "created-in-milliseconds": in_json(lambda v: v.update(created=v["created"] * 1000) if "choices" in v else None),
    "no-id": in_json(without(["id"])),
    "wrong-role": each_choice(lambda c: c["message"].update(role="user")),
    "unknown-finish-reason": each_choice(lambda c: c.update(finish_reason="eos")),
    "wrong-finish-reason": each_choice(lambda c: c.update(finish_reason="stop")),
    "null-content": each_choice(lambda c: c["message"].update(content=None)),
    "choice-missing": in_json(lambda v: v.update(choices=v["choices"][:1]) if "choices" in v else None),
    "stop-string-in-answer": each_choice(lambda c: c["message"].update(content=c["message"]["content"] + "e")),
    "not-greedy": _never_the_same(),
    "answer-off-schema": each_choice(lambda c: c["message"].update(content='{"city": "Berlin"}')),
    "answer-no-json": each_choice(lambda c: c["message"].update(content="Paris.")),
    "positive-logprob": each_choice(lambda c: _entries(c)[0].update(logprob=0.3)),
    "logprob-missing": each_choice(lambda c: _entries(c).pop(0)),
    "top-logprobs-unsorted": each_choice(lambda c: _entries(c)[0]["top_logprobs"].reverse()),
    "logprob-not-a-number": _not_a_number,
    "tool-arguments-no-json": each_choice(lambda c: _call(c)["function"].update(arguments='{"city": "Paris"')),
    "tool-arguments-off-schema": each_choice(lambda c: _call(c)["function"].update(arguments='{"town": "Paris"}')),
    "tool-not-offered": each_choice(lambda c: _call(c)["function"].update(name="get_time")),
    "tool-without-id": each_choice(lambda c: _call(c).update(id="")),
    "tool-finish-stop": each_choice(lambda c: c.update(finish_reason="stop")),
    "echo-without-prompt": each_choice(lambda c: c.update(text=" building")),
    "json-as-html": in_headers(content_type="text/html"),
    "latin-1": in_headers(content_type="application/json; charset=iso-8859-1"),
    "longer-than-said": _longer_than_said,
    "shorter-than-said": _shorter_than_said,
    "no-allow": in_headers(allow=None),
    "no-cors": in_headers(access_control_allow_origin=None),
    "preflight-without-headers": in_headers(access_control_allow_headers=None),
    "ok-for-an-error": with_status(200),
    "server-error-for-a-bad-request": with_status(500),
    "error-without-param": _error(without(["param"])),
    "error-names-another": _error(lambda e: e.update(param="top_p")),
    "error-code-is-a-number": _error(lambda e: e.update(code=400)),
    "error-as-detail": in_json(lambda v: {"detail": v["error"]["message"]} if "error" in v else None),
    "a-wrong-schema-is-our-fault": with_status(500),
    "a-call-of-no-object": with_status(200),
    "too-long-in-other-words": _error(lambda e: e.update(message="The prompt is too long.")),
    "traceback": _error(lambda e: e.update(message="Traceback (most recent call last): …")),
    "not-normalised": in_json(_double),
    "swapped-vectors": in_json(_swap_vectors),
    "reversed-vectors": in_json(_reverse_vectors),
    "base64-big-endian": in_json(_base64(">{}f")),
    "base64-of-doubles": in_json(_base64("<{}d")),
    "base64-ignored": in_json(_always_floats),
    "embedding-tokens-zero": in_json(
        lambda v: v.update(usage={"prompt_tokens": 0, "total_tokens": 0}) if "data" in v else None
    ),
    "model-without-owner": in_json(lambda v: [without(["owned_by"])(m) for m in v["data"]] and None),
}
