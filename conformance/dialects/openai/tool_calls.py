"""Calls of functions in an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.checks import functions


def violations(message: Mapping[str, Any], reason: str | None, request: Mapping[str, Any]) -> list[str]:
    """What is wrong with the tool calls of a message, or with there being none."""
    calls = message.get("tool_calls") or []
    choice = request.get("tool_choice")
    found = functions.violations([_call(call) for call in calls], _wanted(request), cut=reason == "length")
    if not calls:
        return [*found, "finish_reason is tool_calls and there are none"] if reason == "tool_calls" else found
    # OpenAI ends a call of a named function with `stop`.
    allowed = {"tool_calls", "length"} | ({"stop"} if isinstance(choice, dict) else set())
    if reason not in allowed:
        found.append(f"there are tool calls and finish_reason is {reason}")
    kinds = [call.get("type") for call in calls]
    return found + [f"the type of a call is {kind!r}" for kind in kinds if kind != "function"]


def _call(call: Mapping[str, Any]) -> functions.Call:
    function = call.get("function") or {}
    return functions.Call(call.get("id"), function.get("name"), function.get("arguments") or "")


def _wanted(request: Mapping[str, Any]) -> functions.Wanted:
    choice = request.get("tool_choice")
    is_named = isinstance(choice, dict)
    return functions.Wanted(
        {tool["function"]["name"]: tool["function"].get("parameters") for tool in request.get("tools") or []},
        must=choice == "required" or is_named,
        named=choice["function"]["name"] if is_named and choice else None,
        may=choice != "none",
        several=request.get("parallel_tool_calls") is not False,
    )


def delta_violations(deltas: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the order of a choice's tool call deltas, which SDKs join by index."""
    found = []
    seen: list[int] = []
    for part in deltas:
        index = part.get("index")
        function = part.get("function") or {}
        if not isinstance(index, int):
            found.append("a tool call delta has no index")
        elif index in seen:
            if part.get("id") or function.get("name"):
                found.append(f"a later delta of call {index} has an id or a name again: SDKs would append it")
            if index != seen[-1]:
                found.append(f"a delta of call {index} comes after call {seen[-1]} has begun")
        else:
            if index != len(seen):
                found.append(f"call {index} begins as number {len(seen)}")
            if not part.get("id") or not function.get("name"):
                found.append(f"the first delta of call {index} has no id or no name")
            seen.append(index)
    return found
