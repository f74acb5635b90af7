"""What a server answered to one request, whoever asked: an SDK or a few lines of HTTP."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance import event_stream
from conformance.http_bytes import Response

JSON_TYPE, STREAM_TYPE = "application/json", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and its answer.

    Attributes:
        endpoint: The path below the base URL, such as `/chat/completions`.
        request: The body as a value; empty where there is none.
        status: Of the answer.
        value: The answer's JSON; of a stream, its chunks joined to a whole.
        chunks: A stream's JSON values; None where there is no stream.
        response: The bytes; None where an SDK has read them.
        seen: What an SDK adds: `raised`, `parsed`, `final`, `headers`.
        problems: What went wrong while reading.
    """

    endpoint: str
    request: Mapping[str, Any]
    status: int
    value: Any
    chunks: tuple[Any, ...] | None = None
    response: Response | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def turn_from_bytes(endpoint: str, request: Mapping[str, Any], response: Response) -> Turn:
    """What was answered, from the bytes; what cannot be read is among the problems."""
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    value: Any = None
    chunks: tuple[Any, ...] | None = None
    problems = list(response.problems)
    if request.get("stream") is True and response.status == 200:
        stream = event_stream.read_event_stream(response.body)
        chunks, value = stream.values, joined(stream.values)
        problems += stream.problems
        if kind != STREAM_TYPE:
            problems.append(f"the content type of a stream is {kind or 'missing'}")
    elif response.body:
        try:
            value = event_stream.read_json(response.body)
        except ValueError as error:
            problems.append(f"the body is no JSON: {error}")
        if kind != JSON_TYPE:
            problems.append(f"the content type is {kind or 'missing'} instead of {JSON_TYPE}")
    return Turn(endpoint, request, response.status, value, chunks, response, {}, tuple(problems))


def turn_from_client(found: Mapping[str, Any]) -> Turn:
    """What a client program reports of one call."""
    chunks = tuple(found["chunks"]) if found.get("chunks") is not None else None
    value = joined(chunks) if chunks is not None else found.get("value")
    seen = {name: found[name] for name in ("raised", "parsed", "final", "headers") if name in found}
    return Turn(found["endpoint"], found["request"], found["status"], value, chunks, None, seen)


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
