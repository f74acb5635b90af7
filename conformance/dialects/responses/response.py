"""A response as one object."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import functions, texts
from conformance.checks.facts import CLOCK_SKEW_S, ServerFacts

Object = Mapping[str, Any]

SAID_BACK = ("instructions", "max_output_tokens", "temperature", "top_p", "metadata", "parallel_tool_calls")
"""Parameters that the API reference has in the response as they were given."""


def violations(value: Any, request: Object, facts: ServerFacts) -> list[str]:
    """What is wrong with it, whole or as a stream has ended with it."""
    if not isinstance(value, dict):
        return [f"the answer is no object: {str(value)[:120]}"]
    # What follows reads the fields that the SDK's model has promised.
    if found := sdk_schemas.violations("response", value):
        return found
    found = facts.model_violations(value)
    if abs(value["created_at"] - time.time()) > CLOCK_SKEW_S:
        found.append(f"created_at is {value['created_at']!r}, which is not now in seconds")
    if request.get("background"):
        return found + _background_violations(value)
    found += _status_violations(value)
    found += _item_violations(value["output"])
    found += _usage_violations(value, request)
    found += _call_violations(value, request)
    found += [
        f"{name} is {value.get(name)!r}, and {request[name]!r} was asked for"
        for name in SAID_BACK
        if request.get(name) is not None and value.get(name) != request[name]
    ]
    return found + _form_violations(value, request)


def text_of(value: Object) -> str:
    """All text of an answer."""
    return "".join(part.get("text", "") for item in messages_of(value) for part in item["content"])


def messages_of(value: Object) -> list[Any]:
    """Its messages."""
    return [item for item in value["output"] if item["type"] == "message"]


def calls_of(value: Object) -> list[Any]:
    """Its calls of functions."""
    return [item for item in value["output"] if item["type"] == "function_call"]


def _status_violations(value: Object) -> list[str]:
    status, details = value.get("status"), value.get("incomplete_details")
    found = [] if status in {"completed", "incomplete"} else [f"the status of an answer is {status!r}"]
    if (status == "incomplete") != bool(details and details.get("reason")):
        found.append(f"the status is {status} and incomplete_details are {details!r}")
    if value.get("error") is not None:
        found.append(f"the status is {status} and there is an error: {value['error']!r}")
    return found


def _background_violations(value: Object) -> list[str]:
    status = value.get("status")
    found = [] if status in {"queued", "in_progress", "completed", "incomplete"} else [f"the status is {status!r}"]
    return found + ([] if value.get("background") is True else ["background is not said back"])


def _item_violations(output: Sequence[Any]) -> list[str]:
    ids = [item.get("id") for item in output]
    found = [] if all(ids) and len(set(ids)) == len(ids) else [f"items have the ids {ids}: each needs one of its own"]
    for item in output:
        if item["type"] in {"message", "function_call"} and item.get("status") not in {"completed", "incomplete"}:
            found.append(f"the status of a {item['type']} is {item.get('status')!r}")
        if item["type"] == "message" and not item["content"]:
            found.append("a message has no content")
    return found


def _usage_violations(value: Object, request: Object) -> list[str]:
    usage = value.get("usage")
    if not usage:
        return ["the answer has no usage"]
    prompt, completion, total = (usage[f"{name}_tokens"] for name in ("input", "output", "total"))
    found = []
    if total != prompt + completion:
        found.append(f"usage does not add up: {prompt} + {completion} is not {total}")
    if prompt < 1:
        found.append("the prompt has no tokens")
    cached, thought = usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]
    if not 0 <= cached <= prompt:
        found.append(f"{cached} of {prompt} input tokens are said to come from a cache")
    if not 0 <= thought <= completion:
        found.append(f"{thought} of {completion} output tokens are said to be thoughts")
    limit = request.get("max_output_tokens")
    if limit and completion > limit:
        found.append(f"{completion} tokens were generated, the limit is {limit}")
    if limit and value["status"] == "incomplete" and completion != limit:
        found.append(f"the answer ended at its limit of {limit} tokens, and usage counts {completion}")
    return found


def _call_violations(value: Object, request: Object) -> list[str]:
    calls = [functions.Call(call["call_id"], call["name"], call["arguments"]) for call in calls_of(value)]
    choice = request.get("tool_choice")
    named = choice.get("name") if isinstance(choice, dict) else None
    wanted = functions.Wanted(
        {tool["name"]: tool.get("parameters") for tool in request.get("tools") or [] if tool.get("type") == "function"},
        must=choice == "required" or named is not None,
        named=named,
        may=choice != "none",
        several=request.get("parallel_tool_calls") is not False,
    )
    return functions.violations(calls, wanted, cut=value["status"] == "incomplete")


def _form_violations(value: Object, request: Object) -> list[str]:
    form = (request.get("text") or {}).get("format") or {}
    if form.get("type", "text") == "text" or value["status"] != "completed" or calls_of(value):
        return []
    return texts.form_violations(text_of(value), form.get("schema", {"type": "object"}))
