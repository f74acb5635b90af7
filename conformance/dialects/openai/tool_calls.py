"""Calls of functions in an answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator


def violations(message: Mapping[str, Any], reason: str | None, request: Mapping[str, Any]) -> list[str]:
    """What is wrong with the tool calls of a message, or with there being none."""
    calls = message.get("tool_calls") or []
    choice = request.get("tool_choice")
    if not calls:
        must = choice == "required" or isinstance(choice, dict)
        found = ["a call was required and there is none"] if must and reason != "length" else []
        return [*found, "finish_reason is tool_calls and there are none"] if reason == "tool_calls" else found
    found = _choice_violations(calls, choice, request)
    # OpenAI ends a call of a named function with `stop`.
    allowed = {"tool_calls", "length"} | ({"stop"} if isinstance(choice, dict) else set())
    if reason not in allowed:
        found.append(f"there are tool calls and finish_reason is {reason}")
    ids = [call.get("id") for call in calls]
    if not all(ids) or len(set(ids)) != len(ids):
        found.append(f"tool calls have the ids {ids}: each needs one of its own")
    if reason != "length":
        schemas = {tool["function"]["name"]: tool["function"].get("parameters") for tool in request.get("tools", [])}
        found += [text for call in calls for text in _call_violations(call, schemas)]
    return found


def _choice_violations(calls: Sequence[Mapping[str, Any]], choice: Any, request: Mapping[str, Any]) -> list[str]:
    found = []
    if choice == "none" or not request.get("tools"):
        found.append("there are tool calls where none may be")
    if isinstance(choice, dict):
        wanted = choice["function"]["name"]
        found += [f"{_name(call)} was called instead of {wanted}" for call in calls if _name(call) != wanted]
    if request.get("parallel_tool_calls") is False and len(calls) > 1:
        found.append(f"there are {len(calls)} calls, and parallel calls were forbidden")
    return found


def _call_violations(call: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    name = _name(call)
    found = [] if call.get("type") == "function" else [f"the type of a call is {call.get('type')!r}"]
    if name not in schemas:
        return [*found, f"{name!r} was called, which was not offered"]
    try:
        arguments = json.loads((call.get("function") or {}).get("arguments") or "")
    except ValueError as error:
        return [*found, f"the arguments of {name} are no JSON: {error}"]
    if not isinstance(arguments, dict):
        return [*found, f"the arguments of {name} are no object"]
    wrong = Draft202012Validator(schemas[name] or {}).iter_errors(arguments)
    return found + [f"the arguments of {name} are not valid: {error.message[:120]}" for error in wrong]


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


def _name(call: Mapping[str, Any]) -> str:
    return str((call.get("function") or {}).get("name"))
