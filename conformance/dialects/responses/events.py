"""A response as a stream of named and numbered events."""

from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import texts
from conformance.dialects.responses import response
from conformance.turns import Turn

Event = Mapping[str, Any]

ENDS = ("response.completed", "response.incomplete", "response.failed")
BEGIN = ("response.created", "response.in_progress")

DELTAS = {
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.reasoning_text.delta": ("response.reasoning_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
}
"""What a delta adds to: the event that ends it, and where that has the whole."""


def joined(events: Sequence[Any]) -> Any:
    """The response that the last event has; without one, an empty object."""
    ends = [event for event in events if isinstance(event, dict) and event.get("type") in ENDS]
    return ends[-1].get("response") if ends else {}


def violations(turn: Turn) -> list[str]:
    """What is wrong with the events, beside the response that they end with."""
    events = turn.chunks or ()
    if not events:
        return ["the stream has no events"]
    found = [
        f"event {number}: {text}"
        for number, event in enumerate(events)
        for text in sdk_schemas.event_violations("response event", event)
    ]
    # What follows reads the fields that the SDK's models have promised.
    return found or [
        *_number_violations(events),
        *_frame_violations(events),
        *_item_violations(events, told=turn.response is not None),
        *_helper_violations(turn),
    ]


def _number_violations(events: Sequence[Event]) -> list[str]:
    numbers = [event["sequence_number"] for event in events]
    return [] if numbers == list(range(len(events))) else [f"the events are not numbered from 0: {numbers[:8]}"]


def _frame_violations(events: Sequence[Event]) -> list[str]:
    kinds = [event["type"] for event in events]
    found = [] if tuple(kinds[:2]) == BEGIN else [f"the stream begins with {kinds[:2]}"]
    if [kind for kind in kinds if kind in ENDS] != kinds[-1:]:
        found.append(f"the stream was to end with one of {ENDS}, and once; it ends with {kinds[-1]}")
    told = [event["response"] for event in events if "response" in event]
    for name in ("id", "created_at", "model"):
        values = {str(item[name]) for item in told}
        if len(values) > 1:
            found.append(f"{name} changes within the stream: {', '.join(sorted(values))}")
    found += [
        f"a response that has begun has the status {item['status']}, output or a usage"
        for item in told[:-1]
        if item["status"] != "in_progress" or item["output"] or item.get("usage")
    ]
    if told and kinds[-1] in ENDS and kinds[-1] != f"response.{told[-1]['status']}":
        found.append(f"the last event is {kinds[-1]} and its response is {told[-1]['status']}")
    return found


def _item_violations(events: Sequence[Event], *, told: bool) -> list[str]:
    output = joined(events).get("output", [])
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    found = [] if added == list(range(len(output))) else [f"items begin with the indices {added} of {len(output)}"]
    for index, item in enumerate(output):
        mine = [event for event in events if event.get("output_index") == index]
        found += [f"item {index}: {text}" for text in _one_item_violations(mine, item, told=told)]
    return found


def _one_item_violations(events: Sequence[Event], item: Event, *, told: bool) -> list[str]:
    kinds = [event["type"] for event in events]
    found = []
    if kinds[:1] != ["response.output_item.added"] or kinds[-1:] != ["response.output_item.done"]:
        return [f"its events begin with {kinds[:1]} and end with {kinds[-1:]}"]
    begun, done = events[0]["item"], events[-1]["item"]
    # The SDK's helper adds to the items what it has parsed of them.
    if told and done != item:
        found.append("output_item.done has another item than the response at the end")
    ids = {event.get("item_id") for event in events[1:-1]} | {begun["id"], done["id"]}
    if len(ids) > 1:
        found.append(f"it has several ids: {sorted(map(str, ids))}")
    if item["type"] != "function_call":
        found += _part_violations(kinds, item)
    return found + [text for delta in DELTAS for text in _delta_violations(events, delta, item)]


def _part_violations(kinds: Sequence[str], item: Event) -> list[str]:
    parts = len(item.get("content") or [])
    names = ("response.content_part.added", "response.content_part.done")
    return [f"there are {kinds.count(name)} {name} for {parts} parts" for name in names if kinds.count(name) != parts]


def _delta_violations(events: Sequence[Event], delta: str, item: Event) -> list[str]:
    done, name = DELTAS[delta]
    pieces = [event["delta"] for event in events if event["type"] == delta]
    wholes = [event[name] for event in events if event["type"] == done]
    found = texts.cut_violations(pieces)
    if "".join(pieces) != "".join(wholes):
        found.append(f"the deltas join to {''.join(pieces)[:80]!r}, and {done} has {''.join(wholes)[:80]!r}")
    if delta == "response.output_text.delta" and item["type"] == "message":
        said = response.text_of({"output": [item]})
        found += [] if "".join(pieces) == said else [f"the deltas join to {''.join(pieces)[:80]!r} and not to {said!r}"]
    if item["type"] == "function_call" and name == "arguments" and "".join(pieces) != item["arguments"]:
        found.append(f"the deltas join to {''.join(pieces)[:80]!r} and not to the call's arguments")
    return found


def _helper_violations(turn: Turn) -> list[str]:
    # What the SDK's own helper joined must be what the events say.
    final = turn.seen.get("final")
    if not isinstance(final, dict):
        return []
    ours, theirs = (response.text_of(value) for value in (turn.value, final))
    return [] if ours == theirs else [f"the SDK's helper joined another text: {theirs!r}"]
