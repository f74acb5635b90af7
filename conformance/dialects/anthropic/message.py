"""A message as one object, and the count of a prompt's tokens."""

from collections.abc import Mapping
from typing import Any

from conformance import sdk_schemas
from conformance.checks import functions, texts
from conformance.checks.facts import ServerFacts

Object = Mapping[str, Any]


def violations(value: Any, request: Object, facts: ServerFacts) -> list[str]:
    """What is wrong with it, whole or as a stream's events add up to it."""
    if not isinstance(value, dict):
        return [f"the answer is no object: {str(value)[:120]}"]
    # What follows reads the fields that the SDK's model has promised.
    if found := sdk_schemas.violations("message", value):
        return found
    found = facts.model_violations(value)
    if not value["id"]:
        found.append("the message has no id")
    found += _stop_violations(value, request)
    found += _usage_violations(value, request)
    found += _call_violations(value, request)
    found += texts.violations(text_of(value), request.get("stop_sequences") or ())
    form = (request.get("output_config") or {}).get("format")
    if form and value["stop_reason"] == "end_turn":
        found += texts.form_violations(text_of(value), form["schema"])
    return found


def count_violations(value: Any) -> list[str]:
    """What is wrong with a count of tokens."""
    found = sdk_schemas.violations("token count", value)
    return found or ([] if value["input_tokens"] >= 1 else ["the prompt has no tokens"])


def text_of(value: Object) -> str:
    """All text of an answer."""
    return "".join(block["text"] for block in value["content"] if block["type"] == "text")


def calls_of(value: Object) -> list[Any]:
    """Its calls of tools."""
    return [block for block in value["content"] if block["type"] == "tool_use"]


def _stop_violations(value: Object, request: Object) -> list[str]:
    reason, sequence = value["stop_reason"], value["stop_sequence"]
    found = [] if reason else ["the message has no stop_reason"]
    if (reason == "stop_sequence") != (sequence is not None):
        found.append(f"stop_reason is {reason} and stop_sequence is {sequence!r}")
    if sequence is not None and sequence not in (request.get("stop_sequences") or ()):
        found.append(f"stop_sequence is {sequence!r}, which was not asked for")
    if bool(calls_of(value)) != (reason == "tool_use") and reason != "max_tokens":
        found.append(f"stop_reason is {reason} and there are {len(calls_of(value))} calls")
    return found


def _usage_violations(value: Object, request: Object) -> list[str]:
    prompt, completion = value["usage"]["input_tokens"], value["usage"]["output_tokens"]
    read = value["usage"].get("cache_read_input_tokens") or 0
    found = [] if prompt + read >= 1 else ["the prompt has no tokens"]
    limit = request["max_tokens"]
    if completion > limit:
        found.append(f"{completion} tokens were generated, the limit is {limit}")
    if value["stop_reason"] == "max_tokens" and completion != limit:
        found.append(f"the answer ended at its limit of {limit} tokens, and usage counts {completion}")
    return found


def _call_violations(value: Object, request: Object) -> list[str]:
    choice = request.get("tool_choice") or {"type": "auto"}
    wanted = functions.Wanted(
        {tool["name"]: tool.get("input_schema") for tool in request.get("tools") or []},
        must=choice["type"] in {"any", "tool"},
        named=choice.get("name"),
        may=choice["type"] != "none",
        several=not choice.get("disable_parallel_tool_use"),
    )
    calls = [functions.Call(call["id"], call["name"], call["input"]) for call in calls_of(value)]
    return functions.violations(calls, wanted, cut=value["stop_reason"] == "max_tokens")
