"""Chunks of a stream, joined to the whole answer that they add up to."""

from collections.abc import Iterable, Mapping
from typing import Any


def joined(chunks: Iterable[Any]) -> dict[str, Any]:
    """The whole answer that a stream's chunks add up to; what does not fit is left out, for checks to name."""
    whole: dict[str, Any] = {"choices": []}
    choices: dict[Any, dict[str, Any]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            continue
        for name in ("id", "created", "model", "system_fingerprint", "error"):
            if name in chunk:
                whole.setdefault(name, chunk[name])
        if chunk.get("usage") is not None:
            whole["usage"] = chunk["usage"]
        for part in chunk.get("choices") or []:
            _add(choices.setdefault(part.get("index"), {"index": part.get("index")}), part)
    whole["choices"] = [choices[index] for index in sorted(choices, key=str)]
    return whole


def _add(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    if part.get("finish_reason") is not None:
        choice["finish_reason"] = part["finish_reason"]
    if isinstance(part.get("logprobs"), dict):
        _add_logprobs(choice, part["logprobs"])
    if "text" in part:
        choice["text"] = choice.get("text", "") + (part["text"] or "")
    delta = part.get("delta")
    if not isinstance(delta, dict):
        return
    message = choice.setdefault("message", {"content": None})
    if delta.get("role") is not None:
        message.setdefault("role", delta["role"])
    if delta.get("content") is not None:
        message["content"] = (message["content"] or "") + delta["content"]
    for call in delta.get("tool_calls") or []:
        _add_call(message.setdefault("tool_calls", []), call)


def _add_logprobs(choice: dict[str, Any], logprobs: Mapping[str, Any]) -> None:
    mine = choice.setdefault("logprobs", {})
    for name, entries in logprobs.items():
        if isinstance(entries, list):
            mine[name] = [*mine.get(name, []), *entries]


def _add_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    index = part.get("index")
    call = next((item for item in calls if item["index"] == index), None)
    if call is None:
        call = {"index": index, "function": {"name": "", "arguments": ""}}
        calls.append(call)
    for name in ("id", "type"):
        if part.get(name):
            call.setdefault(name, part[name])
    function = part.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
