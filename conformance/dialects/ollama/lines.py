"""An answer of text, as one object or as lines of which the last has the figures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from conformance import sdk_schemas
from conformance.checks import functions, texts
from conformance.checks.facts import ServerFacts
from conformance.turns import Turn

Object = Mapping[str, Any]

DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
COUNTS = ("prompt_eval_count", "eval_count")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
"""RFC 3339."""


def joined(lines: Sequence[Any]) -> Any:
    """The whole answer that the lines add up to: the last one, with what all have said."""
    told = [line for line in lines if isinstance(line, dict)]
    if not told:
        return {}
    whole = dict(told[-1])
    if "response" in told[0]:
        whole["response"] = "".join(line.get("response") or "" for line in told)
    if "message" in told[0]:
        messages = [line.get("message") or {} for line in told]
        message = dict(messages[0])
        for name in ("content", "thinking"):
            if any(name in item for item in messages):
                message[name] = "".join(item.get(name) or "" for item in messages)
        if calls := [call for item in messages for call in item.get("tool_calls") or []]:
            message["tool_calls"] = calls
        whole["message"] = message
    return whole


def violations(turn: Turn, facts: ServerFacts) -> list[str]:
    """What is wrong with it."""
    name = turn.endpoint.removeprefix("/api/")
    lines = [turn.value] if turn.chunks is None else list(turn.chunks)
    found = [text for line in lines for text in sdk_schemas.violations(name, line)]
    if found or not lines:
        return found or ["the stream has no lines"]
    found += [text for line in lines for text in _head_violations(line, facts)]
    done = [line.get("done") for line in lines]
    if done != [False] * (len(lines) - 1) + [True]:
        found.append(f"`done` was to be true in the last line only; it is {done[-3:]} in the last ones")
    found += _figures_violations(lines[-1])
    pieces = [said(line) for line in lines]
    found += texts.cut_violations(pieces)
    return found + _answer_violations(turn.value, turn.request)


def stops(request: Object) -> Sequence[str]:
    """The strings that are to end an answer."""
    given = (request.get("options") or {}).get("stop") or []
    return [given] if isinstance(given, str) else given


def said(value: Object) -> str:
    """The text of an answer, or of a line of one."""
    text: str | None = (value.get("message") or {}).get("content") if "message" in value else value.get("response")
    return text or ""


def _head_violations(line: Object, facts: ServerFacts) -> list[str]:
    found = []
    if not MOMENT.fullmatch(str(line.get("created_at"))):
        found.append(f"created_at is no moment of RFC 3339: {line.get('created_at')!r}")
    if facts.model_ids and str(line.get("model")).removesuffix(":latest") not in facts.model_ids:
        found.append(f"the answer names the model {line.get('model')!r}, which /models does not list")
    if "message" in line and line["message"].get("role") != "assistant":
        found.append(f"the role is {line['message'].get('role')!r} instead of 'assistant'")
    return found


def _figures_violations(last: Object) -> list[str]:
    missing = [name for name in (*DURATIONS, *COUNTS, "done_reason") if last.get(name) is None]
    if missing:
        return [f"the last line has no {', '.join(missing)}"]
    found = [f"{name} is {last[name]}" for name in DURATIONS if last[name] < 0]
    if sum(last[name] for name in DURATIONS[1:]) > last["total_duration"]:
        found.append("the durations are together longer than the total")
    # A token takes a microsecond at least: figures in other units than nanoseconds are off by that much.
    if last["total_duration"] < 1000 * last["eval_count"]:
        found.append(f"{last['eval_count']} tokens are said to have taken {last['total_duration']} ns")
    return found


def _answer_violations(value: Object, request: Object) -> list[str]:
    options = request.get("options") or {}
    reason, count, limit = value.get("done_reason"), value.get("eval_count") or 0, options.get("num_predict") or -1
    found = [] if reason in {"stop", "length", "load"} else [f"done_reason is {reason!r}"]
    if limit > 0 and count > limit:
        found.append(f"{count} tokens were generated, the limit is {limit}")
    if limit > 0 and reason == "length" and count != limit:
        found.append(f"the answer ended at its limit of {limit} tokens, and eval_count is {count}")
    found += texts.violations(said(value), stops(request))
    form = request.get("format")
    if form and reason == "stop" and not stops(request):
        found += texts.form_violations(said(value), {"type": "object"} if form == "json" else form)
    return found + _call_violations(value, request, cut=reason == "length")


def _call_violations(value: Object, request: Object, *, cut: bool) -> list[str]:
    sent = [call["function"] for call in (value.get("message") or {}).get("tool_calls") or []]
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") for tool in request.get("tools") or []}
    # Calls need no ids here.
    calls = [functions.Call(number + 1, call["name"], call["arguments"]) for number, call in enumerate(sent)]
    found = [f"the arguments of {call.name} are a text" for call in calls if isinstance(call.arguments, str)]
    return found + functions.violations(calls, functions.Wanted(schemas), cut=cut)
