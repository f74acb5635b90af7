"""Defects of Anthropic's Messages."""

from collections.abc import Callable, Sequence
from typing import Any

from conformance.mutants.breaking import (
    Break,
    in_bytes,
    in_headers,
    in_json,
    in_named_events,
    swap,
    with_status,
    without,
)


def _places(events: Sequence[Any], kind: str) -> list[int]:
    return [number for number, event in enumerate(events) if event["type"] == kind]


def _deltas(events: Sequence[Any], kind: str) -> list[int]:
    return [number for number in _places(events, "content_block_delta") if events[number]["delta"]["type"] == kind]


def _lose(kind: str) -> Break:
    return in_named_events(lambda events: [event for event in events if event["type"] != kind])


def _lose_delta(kind: str) -> Break:
    return in_named_events(lambda events: events.pop(_deltas(events, kind)[1]) and None)


def _each(kind: str, change: Callable[[dict[str, Any]], object]) -> Break:
    def apply(events: list[Any]) -> None:
        for number in _places(events, kind):
            change(events[number])

    return in_named_events(apply)


def _leak_stop(events: list[Any]) -> None:
    events[_deltas(events, "text_delta")[-1]]["delta"]["text"] += "ta gam"


def _ping_within_a_block(events: list[Any]) -> None:
    place = _places(events, "content_block_stop")[0]
    events.insert(place, {"type": "message_delta", "delta": events[-2]["delta"], "usage": events[-2]["usage"]})


def _replacement_characters(event: dict[str, Any]) -> None:
    if event["delta"].get("text"):
        event["delta"]["text"] = event["delta"]["text"].replace("🦫", "\ufffd\ufffd")


def _whole(change: Callable[[dict[str, Any]], object]) -> Break:
    return in_json(lambda value: change(value) and None if value.get("type") == "message" else None)


def _tool_use(value: Any) -> dict[str, Any]:
    (block,) = [block for block in value["content"] if block["type"] == "tool_use"]
    found: dict[str, Any] = block
    return found


def _error(change: Callable[[dict[str, Any]], object]) -> Break:
    return in_json(lambda value: change(value) and None if "error" in value else None)


DEFECTS: dict[str, Break] = {
    "message-not-begun": _lose("message_start"),
    "message-not-stopped": _lose("message_stop"),
    "message-without-delta-at-the-end": _lose("message_delta"),
    "message-block-not-begun": _lose("content_block_start"),
    "message-block-not-ended": _lose("content_block_stop"),
    "message-block-index-moves": _each("content_block_delta", lambda event: event.update(index=event["index"] + 1)),
    "message-block-begins-with-text": _each(
        "content_block_start", lambda event: event["content_block"].update(text="Hello")
    ),
    "message-ends-within-a-block": in_named_events(_ping_within_a_block),
    "message-begins-with-a-reason": _each(
        "message_start", lambda event: event["message"].update(stop_reason="end_turn")
    ),
    "message-lost-delta": _lose_delta("text_delta"),
    "message-swapped-deltas": in_named_events(lambda events: swap(events, _deltas(events, "text_delta"))),
    "message-lost-json": _lose_delta("input_json_delta"),
    "message-delta-of-another-kind": _each(
        "content_block_delta", lambda event: event.update(delta={"type": "thinking_delta", "thinking": "Hm."})
    ),
    "message-replacement-character": _each("content_block_delta", _replacement_characters),
    "message-stop-sequence-leaks": in_named_events(_leak_stop),
    "message-without-usage-at-the-end": _each("message_delta", without(["usage"])),
    "message-other-event-names": in_bytes(rb"event: content_block_delta", b"event: delta"),
    "message-with-done": in_bytes(rb"\Z", b"data: [DONE]\n\n", times=1),
    "message-last-event-open": in_bytes(rb"\n\n\Z", b"\n", times=1),
    "message-cut-in-silence": _whole(lambda value: value.update(stop_reason="end_turn")),
    "message-one-token-too-many": _whole(
        lambda value: value["usage"].update(output_tokens=value["usage"]["output_tokens"] + 1)
    ),
    "message-without-usage": _whole(without(["usage"])),
    "message-of-another-model": _whole(lambda value: value.update(model="claude-99")),
    "message-role-of-a-user": _whole(lambda value: value.update(role="user")),
    "message-stop-sequence-unnamed": _whole(lambda value: value.update(stop_sequence=None)),
    "message-other-stop-sequence": _whole(lambda value: value.update(stop_sequence="###")),
    "message-off-schema": _whole(lambda value: value["content"][0].update(text='{"city": "Berlin"}')),
    "message-tool-ends-turn": _whole(lambda value: value.update(stop_reason="end_turn")),
    "message-input-off-schema": _whole(lambda value: _tool_use(value).update(input={"town": "Paris"})),
    "message-input-is-a-text": _whole(lambda value: _tool_use(value).update(input='{"city": "Paris"}')),
    "message-tool-not-offered": _whole(lambda value: _tool_use(value).update(name="get_time")),
    "message-tool-without-id": _whole(lambda value: _tool_use(value).update(id="")),
    "message-count-off-by-one": in_json(
        lambda value: value.update(input_tokens=value["input_tokens"] + 1) if "input_tokens" in value else None
    ),
    "message-error-of-openai": _error(without(["type"])),
    "message-error-of-another-type": _error(lambda value: value["error"].update(type="api_error")),
    "message-error-without-request-id": in_headers(request_id=None),
    "message-without-request-id": in_headers(request_id=None),
    "message-ok-for-an-error": with_status(200),
    "message-unprocessable": with_status(422),
}
