"""Defects of streams."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conformance.event_stream import DONE
from conformance.http_bytes import Response
from conformance.mutants.breaking import Break, count_one_more, each_chunk, in_bytes, in_events, in_headers, is_stream


def _texts(events: Sequence[Any]) -> list[int]:
    """Numbers of the events that have text."""
    return [n for n, e in enumerate(events) if e != DONE and e["choices"] and e["choices"][0]["delta"].get("content")]


def _lose_a_delta(events: list[Any]) -> None:
    del events[_texts(events)[1]]


def _swap_two_deltas(events: list[Any]) -> None:
    first, second = _texts(events)[1:3]
    events[first], events[second] = events[second], events[first]


def _drop_finish(events: list[Any]) -> list[Any]:
    return [e for e in events if e == DONE or not e["choices"] or not e["choices"][0]["finish_reason"]]


def _finish_twice(events: list[Any]) -> None:
    (place,) = [n for n, e in enumerate(events) if e != DONE and e["choices"] and e["choices"][0]["finish_reason"]]
    events.insert(place, events[place])


def _first_delta(**fields: Any) -> Break:
    def change(events: list[Any]) -> None:
        delta = events[0]["choices"][0]["delta"]
        delta.update(fields)
        if fields.get("role", "") is None:
            del delta["role"]

    return in_events(change)


def _no_usage_event(events: list[Any]) -> list[Any]:
    return [event for event in events if event == DONE or event["choices"]]


def _swap_indices(_number: int, chunk: dict[str, Any]) -> None:
    for choice in chunk["choices"]:
        choice["index"] = 1 - choice["index"]


def _leak_stop(events: list[Any]) -> None:
    last = events[_texts(events)[-1]]["choices"][0]["delta"]
    last["content"] += "ta gam"


def _cut_character(response: Response) -> Response:
    character = "🦫".encode()
    # Written anew first: a server may have escaped it.
    body = in_events(lambda _: None)(response).body
    before, found, after = body.partition(character)
    if not found:
        return response
    event = before[before.rindex(b"data: ") :]
    text_end, event_end = after.index(b'"'), after.index(b"\n\n") + 2
    first = event + character[:2] + after[text_end:event_end]
    begin = event[: event.rindex(b'"content":"') + len(b'"content":"')]
    second = begin + character[2:] + after[:event_end]
    return replace(response, body=before.removesuffix(event) + first + second + after[event_end:])


def _replacement_characters(events: list[Any]) -> None:
    for number in _texts(events):
        delta = events[number]["choices"][0]["delta"]
        delta["content"] = delta["content"].replace("🦫", "\ufffd\ufffd")


def _call_deltas(events: Sequence[Any]) -> list[dict[str, Any]]:
    deltas = [e["choices"][0]["delta"] for e in events if e != DONE and e["choices"]]
    return [call for delta in deltas for call in delta.get("tool_calls") or []]


def _id_again(events: list[Any]) -> None:
    for call in _call_deltas(events)[1:]:
        call["id"] = "call_again"


def _other_index(events: list[Any]) -> None:
    for call in _call_deltas(events)[1:]:
        call["index"] += 1


def _lose_arguments(events: list[Any]) -> list[Any]:
    return [e for e in events if not any("id" not in call for call in _call_deltas([e]))]


def _whole_for_a_stream(response: Response) -> Response:
    if not is_stream(response):
        return response
    headers = tuple((name, value) for name, value in response.headers if name != "content-type")
    return replace(
        response, headers=(*headers, ("content-type", "application/json")), body=b'{"object": "chat.completion"}'
    )


DEFECTS: dict[str, Break] = {
    "dropped-done": in_events(lambda e: e[:-1]),
    "done-twice": in_events(lambda e: [*e, DONE]),
    "event-after-done": in_events(lambda e: [*e, e[0]]),
    "bytes-after-done": in_bytes(rb"\Z", b"bye\n\n", times=1),
    "no-blank-line": in_bytes(rb"\n\n", b"\n", times=1),
    "mixed-line-ends": in_bytes(rb"\n\n", b"\n\r\n", times=1),
    "last-event-open": in_bytes(rb"\n\n\Z", b"\n", times=1),
    "bare-json-lines": in_bytes(rb"data: ", b""),
    "json-cut-short": in_bytes(rb"\}\n\n", b"\n\n", times=1),
    "cut-character": _cut_character,
    "replacement-character": in_events(_replacement_characters),
    "stream-as-plain-text": in_headers(content_type="text/plain"),
    "whole-for-a-stream": _whole_for_a_stream,
    "two-ids": each_chunk(lambda n, c: c.update(id=f"chatcmpl-{n // 3}")),
    "created-drifts": each_chunk(lambda n, c: c.update(created=c["created"] + n)),
    "model-changes": each_chunk(lambda n, c: c.update(model=f"model-{n > 2}")),
    "fingerprint-changes": each_chunk(lambda n, c: c.update(system_fingerprint=f"fp_{n}")),
    "wrong-object": each_chunk(lambda _, c: c.update(object="chat.completion")),
    "role-of-a-user": _first_delta(role="user"),
    "no-role": _first_delta(role=None),
    "no-finish-reason": in_events(_drop_finish),
    "finish-twice": in_events(_finish_twice),
    "lost-delta": in_events(_lose_a_delta),
    "swapped-deltas": in_events(_swap_two_deltas),
    "usage-unasked": each_chunk(
        lambda _, c: c.update(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    ),
    "usage-missing": in_events(_no_usage_event),
    "usage-of-stream-off-by-one": each_chunk(lambda _, c: count_one_more("prompt_tokens")(c)),
    "swapped-choice-index": each_chunk(_swap_indices),
    "stop-string-leaks": in_events(_leak_stop),
    "tool-index-moves": in_events(_other_index),
    "tool-id-again": in_events(_id_again),
    "tool-arguments-lost": in_events(_lose_arguments),
}
