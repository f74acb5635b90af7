"""A chat answer as a stream of chunks."""

from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import texts
from conformance.checks.facts import ServerFacts
from conformance.dialects.openai import chat, tool_calls
from conformance.turns import Turn

CONSTANT = ("id", "created", "model", "object", "system_fingerprint")
"""What the API reference calls the same in every chunk."""


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with it."""
    chunks = turn.chunks or ()
    found = constant_violations(chunks)
    off_model = [
        f"chunk {number}: {text}"
        for number, chunk in enumerate(chunks)
        for text in sdk_schemas.violations("chat.completion.chunk", chunk)
    ]
    if off_model or not chunks:
        return found + off_model
    asked = include_usage(turn.request)
    found += usage_violations(chunks, asked=asked)
    found += chat.whole_violations(turn.value, turn.request, facts, counted=asked)
    for index in sorted({part["index"] for chunk in chunks for part in chunk["choices"]}):
        found += _choice_violations(index, [p for chunk in chunks for p in chunk["choices"] if p["index"] == index])
    return found + _helper_violations(turn)


def include_usage(request: Mapping[str, Any]) -> bool:
    """Whether the stream was to end with a usage."""
    return bool((request.get("stream_options") or {}).get("include_usage"))


def constant_violations(chunks: Sequence[Any]) -> list[str]:
    """What changes between the chunks of one stream, though it must not."""
    if not chunks:
        return ["the stream has no chunks"]
    found = []
    for name in CONSTANT:
        values = {str(chunk.get(name)) for chunk in chunks if isinstance(chunk, dict)}
        if len(values) > 1:
            found.append(f"{name} changes within the stream: {', '.join(sorted(values)[:3])}")
    return found


def usage_violations(chunks: Sequence[Mapping[str, Any]], *, asked: bool) -> list[str]:
    """Whether exactly the last chunk has a usage, and only where it was asked for."""
    where = [number for number, chunk in enumerate(chunks) if chunk.get("usage") is not None]
    if not asked:
        return ["a chunk has a usage, and nobody asked for it"] if where else []
    if where != [len(chunks) - 1]:
        return [f"the usage was to be in the last chunk only; it is in {len(where)} of {len(chunks)}"]
    return ["the chunk with the usage has choices"] if chunks[-1]["choices"] else []


def _choice_violations(index: int, parts: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    deltas = [part["delta"] for part in parts]
    if deltas[0].get("role") != "assistant":
        found.append(f"the first delta of choice {index} has the role {deltas[0].get('role')!r}")
    if any(delta.get("role") not in {None, "assistant"} for delta in deltas):
        found.append(f"a delta of choice {index} has another role than 'assistant'")
    found += finish_violations(index, parts)
    found += texts.cut_violations([delta.get("content") or "" for delta in deltas])
    calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
    return found + tool_calls.delta_violations(calls)


def finish_violations(index: int, parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether exactly a choice's last part has a finish reason."""
    where = [number for number, part in enumerate(parts) if part.get("finish_reason") is not None]
    if where == [len(parts) - 1]:
        return []
    return [f"the finish_reason of choice {index} is in its parts {where}, of {len(parts)}"]


def _helper_violations(turn: Turn) -> list[str]:
    # What the SDK's own helper joined must be what the chunks say.
    final = turn.seen.get("final")
    if not isinstance(final, dict):
        return []
    found = []
    for ours, theirs in zip(turn.value["choices"], final["choices"], strict=False):
        found += [
            f"the SDK's helper joined another {name}: {theirs['message'].get(name)!r}"
            for name in ("content", "role")
            if ours["message"].get(name) != theirs["message"].get(name)
        ]
        if ours.get("finish_reason") != theirs.get("finish_reason"):
            found.append(f"the SDK's helper ended with {theirs.get('finish_reason')!r}")
    if len(turn.value["choices"]) != len(final["choices"]):
        found.append("the SDK's helper joined another number of choices")
    return found
