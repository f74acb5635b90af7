"""A chat answer as one object."""

from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import texts
from conformance.checks.facts import ServerFacts
from conformance.dialects.openai import logprobs, tool_calls, usage
from conformance.turns import Turn


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with it."""
    if not isinstance(turn.value, dict):
        return [f"the answer is no object: {str(turn.value)[:120]}"]
    found = sdk_schemas.violations("chat.completion", turn.value)
    # What follows reads the fields that the SDK's model has promised.
    return found or whole_violations(turn.value, turn.request, facts)


def whole_violations(
    value: Mapping[str, Any], request: Mapping[str, Any], facts: ServerFacts, *, counted: bool = True
) -> list[str]:
    """What is wrong with a whole answer, or with a stream's chunks once they are joined.

    Args:
        value: The answer.
        request: What was asked.
        facts: What is known of the server.
        counted: Whether it must have a usage.
    """
    choices = value["choices"]
    found = facts.envelope_violations(dict(value))
    num_choices = request.get("n") or 1
    indices = [choice.get("index") for choice in choices]
    if indices != list(range(num_choices)):
        found.append(f"choices have the indices {indices}, and n is {num_choices}")
    if counted:
        found += usage.violations(value.get("usage"), request, choices)
    for choice in choices:
        found += _choice_violations(choice, request)
    return found


def _choice_violations(choice: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    message = choice.get("message") or {}
    reason = choice.get("finish_reason")
    content = message.get("content")
    found = [] if reason else ["a choice has no finish_reason"]
    if message.get("role") != "assistant":
        found.append(f"the role is {message.get('role')!r} instead of 'assistant'")
    if content is None and not message.get("tool_calls"):
        found.append("a message has neither content nor tool calls")
    found += texts.violations(content or "", stops(request))
    found += tool_calls.violations(message, reason, request)
    found += logprobs.chat_violations(choice, request) if not message.get("tool_calls") else []
    return found + _form_violations(content, reason, request)


def stops(request: Mapping[str, Any]) -> Sequence[str]:
    """The strings that are to end an answer."""
    given = request.get("stop") or []
    return [given] if isinstance(given, str) else given


def _form_violations(content: str | None, reason: str | None, request: Mapping[str, Any]) -> list[str]:
    form = request.get("response_format") or {}
    # A limit or a stop string may cut the form.
    if content is None or reason == "length" or request.get("stop") or form.get("type", "text") == "text":
        return []
    schema = {"type": "object"} if form["type"] == "json_object" else form["json_schema"]["schema"]
    return texts.form_violations(content, schema)
