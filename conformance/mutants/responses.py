"""Defects of OpenAI's Responses."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from conformance.mutants.breaking import Break, in_bytes, in_json, in_named_events, swap, with_status, without

TEXT, ARGUMENTS = "response.output_text.delta", "response.function_call_arguments.delta"


def _places(events: Sequence[Any], kind: str) -> list[int]:
    return [number for number, event in enumerate(events) if event["type"] == kind]


def _numbered(change: Callable[[list[Any]], object]) -> Break:
    """A change of the events that leaves their numbers right."""

    def apply(events: list[Any]) -> None:
        change(events)
        for number, event in enumerate(events):
            event["sequence_number"] = number

    return in_named_events(apply)


def _each(change: Callable[[int, dict[str, Any]], object]) -> Break:
    def apply(events: list[Any]) -> None:
        for number, event in enumerate(events):
            change(number, event)

    return in_named_events(apply)


def _lose(kind: str, which: int = 0) -> Break:
    return _numbered(lambda events: events.pop(_places(events, kind)[which]) if _places(events, kind) else None)


def _set(kind: str, name: str, value: Any) -> Break:
    return _each(lambda _, event: event.update({name: value}) if event["type"] == kind else None)


def _end(change: Callable[[dict[str, Any]], object]) -> Break:
    def apply(events: list[Any]) -> None:
        change(events[-1]["response"])

    return in_named_events(apply)


def _other_text(response: dict[str, Any]) -> None:
    for item in response["output"]:
        for part in item.get("content", []):
            part["text"] = "Something else."


def _call(value: Any) -> dict[str, Any]:
    (call,) = [item for item in value["output"] if item["type"] == "function_call"]
    found: dict[str, Any] = call
    return found


def _whole(change: Callable[[dict[str, Any]], object]) -> Break:
    return in_json(lambda value: change(value) and None if value.get("object") == "response" else None)


def _replacement_characters(_number: int, event: dict[str, Any]) -> None:
    if event["type"] == TEXT:
        event["delta"] = event["delta"].replace("🦫", "\ufffd\ufffd")


def _drifts() -> Break:
    numbers = itertools.count()
    return _whole(lambda value: value.update(created_at=value["created_at"] + next(numbers)))


def _without_ids(value: Any) -> None:
    if value.get("object") == "list":
        for item in value["data"]:
            del item["id"]


DEFECTS: dict[str, Break] = {
    "response-unnumbered": _each(lambda _, event: event.update(sequence_number=0)),
    "response-numbered-from-1": _each(lambda number, event: event.update(sequence_number=number + 1)),
    "response-other-event-names": in_bytes(rb"event: response\.output_text\.delta", b"event: delta"),
    "response-events-without-names": in_bytes(rb"event: [^\n]*\n", b""),
    "response-with-done": in_bytes(rb"\Z", b"data: [DONE]\n\n", times=1),
    "response-not-begun": _lose("response.created"),
    "response-not-ended": _numbered(lambda events: events.pop()),
    "response-ended-twice": _numbered(lambda events: events.append(dict(events[-1]))),
    "response-ends-as-another": in_named_events(lambda events: events[-1].update(type="response.completed")),
    "response-begins-with-usage": in_named_events(
        lambda events: events[0]["response"].update(usage=events[-1]["response"]["usage"])
    ),
    "response-id-changes": _end(lambda response: response.update(id="resp_other")),
    "response-lost-delta": _lose(TEXT, 1),
    "response-swapped-deltas": _numbered(lambda events: swap(events, _places(events, TEXT))),
    "response-other-done": _set("response.output_text.done", "text", "Something else."),
    "response-other-end": _end(_other_text),
    "response-item-not-added": _lose("response.output_item.added"),
    "response-item-not-done": _lose("response.output_item.done"),
    "response-part-not-added": _lose("response.content_part.added"),
    "response-item-id-changes": _set(TEXT, "item_id", "msg_other"),
    "response-arguments-lost": _lose(ARGUMENTS, 1),
    "response-replacement-character": _each(_replacement_characters),
    "response-delta-without-item": _each(lambda _, event: event["type"] == TEXT and without(["item_id"])(event)),
    "response-usage-off-by-one": _whole(lambda value: value["usage"].update(total_tokens=0)),
    "response-one-token-too-many": _whole(
        lambda value: value["usage"].update(
            output_tokens=value["usage"]["output_tokens"] + 1, total_tokens=value["usage"]["total_tokens"] + 1
        )
    ),
    "response-without-usage": _whole(lambda value: value.update(usage=None)),
    "response-of-another-model": _whole(lambda value: value.update(model="gpt-99")),
    "response-created-in-milliseconds": _whole(lambda value: value.update(created_at=value["created_at"] * 1000)),
    "response-cut-in-silence": _whole(lambda value: value.update(incomplete_details=None)),
    "response-in-progress-for-ever": _whole(lambda value: value.update(status="in_progress")),
    "response-of-chat": _whole(lambda value: value.update(object="chat.completion")),
    "response-forgets-metadata": _whole(lambda value: value.update(metadata={})),
    "response-off-schema": _whole(_other_text),
    "response-arguments-off-schema": _whole(lambda value: _call(value).update(arguments='{"town": "Paris"}')),
    "response-call-without-id": _whole(lambda value: _call(value).update(call_id="")),
    "response-function-not-offered": _whole(lambda value: _call(value).update(name="get_time")),
    "response-drifts": _drifts(),
    "response-forgets-what-was-said": _whole(lambda value: value["usage"].update(input_tokens=9, total_tokens=9)),
    "response-never-ends": _whole(lambda value: value.update(status="in_progress")),
    "response-items-without-ids": in_json(_without_ids),
    "response-kept-for-ever": with_status(200),
    "response-ok-for-an-error": with_status(200),
    "response-error-is-a-text": in_json(lambda value: value.update(error=value["error"]["message"])),
}
