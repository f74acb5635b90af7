"""A message as a stream of named events."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import texts
from conformance.turns import Turn

Event = Mapping[str, Any]


def told(events: Sequence[Any]) -> list[Any]:
    """The events without pings, which SDKs keep to themselves."""
    return [event for event in events if not (isinstance(event, dict) and event.get("type") == "ping")]


def joined(events: Sequence[Any]) -> Any:
    """The message that the events add up to; what does not fit is left out, for checks to name."""
    whole: dict[str, Any] = {}
    for event in told(events):
        if isinstance(event, dict):
            _add(whole, event)
    for block in whole.get("content", []):
        _close(block)
    return whole


def _add(whole: dict[str, Any], event: Event) -> None:
    delta: Event = event.get("delta") or {}
    content: list[dict[str, Any]] = whole.get("content", [])
    match event.get("type"):
        case "message_start":
            whole |= {**(event.get("message") or {}), "content": []}
        case "content_block_start":
            content.append({**(event.get("content_block") or {}), "pieces": ""})
        case "content_block_delta" if content:
            _add_delta(content[-1], delta)
        case "message_delta":
            usage = {**(whole.get("usage") or {}), **(event.get("usage") or {})}
            whole |= {**delta, "usage": usage}
        case "error":
            whole["error"] = event.get("error")


def _add_delta(block: dict[str, Any], delta: Event) -> None:
    block["pieces"] += delta.get("partial_json") or ""
    for name in ("text", "thinking", "signature"):
        if name in delta:
            block[name] = (block.get(name) or "") + delta[name]


def _close(block: dict[str, Any]) -> None:
    pieces = block.pop("pieces")
    if block.get("type") == "tool_use":
        try:
            block["input"] = json.loads(pieces or "{}")
        except ValueError:
            block["input"] = pieces


def violations(turn: Turn) -> list[str]:
    """What is wrong with the events, beside the message that they add up to."""
    events = told(turn.chunks or ())
    if not events:
        return ["the stream has no events"]
    found = [
        f"event {number}: {text}"
        for number, event in enumerate(events)
        for text in sdk_schemas.event_violations("message event", event)
    ]
    # What follows reads the fields that the SDK's models have promised.
    return found or [*_frame_violations(events), *_block_violations(events), *_helper_violations(turn)]


def _frame_violations(events: Sequence[Event]) -> list[str]:
    kinds = [event["type"] for event in events]
    found = [] if kinds[0] == "message_start" else [f"the stream begins with {kinds[0]}"]
    if kinds[-2:] != ["message_delta", "message_stop"]:
        found.append(f"the stream ends with {', '.join(kinds[-2:])} instead of message_delta, message_stop")
    found += [
        f"there are {kinds.count(kind)} {kind}"
        for kind in ("message_start", "message_delta", "message_stop")
        if kinds.count(kind) != 1
    ]
    if kinds[0] == "message_start":
        message = events[0]["message"]
        if message["content"] or message["stop_reason"] is not None:
            found.append("a message that has begun has content or a stop_reason")
    return found


def _block_violations(events: Sequence[Event]) -> list[str]:
    found: list[str] = []
    opened = -1
    block: Event | None = None
    for event in events:
        kind = event["type"]
        if not kind.startswith("content_block"):
            found += [f"{kind} comes before block {opened} has ended"] if block is not None else []
        elif kind == "content_block_start":
            opened += 1
            found += [f"block {opened} begins with the index {event['index']}"] if event["index"] != opened else []
            found += [f"block {opened} begins before the last has ended"] if block is not None else []
            block = event["content_block"]
            found += _empty_violations(block)
        elif block is None or event["index"] != opened:
            found.append(f"{kind} of the index {event['index']} has no block that is open")
        elif kind == "content_block_delta":
            found += _delta_violations(block, event["delta"])
        else:
            block = None
    pieces = [event["delta"].get("text") or "" for event in events if event["type"] == "content_block_delta"]
    return found + texts.cut_violations(pieces)


def _empty_violations(block: Event) -> list[str]:
    said = block.get("text") or block.get("thinking") or block.get("input")
    return [f"a {block['type']} block begins with content: {str(said)[:80]}"] if said else []


def _delta_violations(block: Event, delta: Event) -> list[str]:
    allowed = {"tool_use": {"input_json_delta"}, "thinking": {"thinking_delta", "signature_delta"}}
    kinds = allowed.get(block["type"], {"text_delta", "citations_delta"})
    return [] if delta["type"] in kinds else [f"a {block['type']} block has a {delta['type']}"]


def _helper_violations(turn: Turn) -> list[str]:
    # What the SDK's own helper joined must be what the events say.
    final = turn.seen.get("final")
    if not isinstance(final, dict):
        return []
    return [
        f"the SDK's helper joined another {name}: {final.get(name)!r}"
        for name in ("content", "stop_reason", "stop_sequence")
        if final.get(name) != turn.value.get(name)
    ]
