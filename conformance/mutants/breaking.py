"""How a healthy answer is broken: from changes of its parts to changes of its bytes."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from conformance.event_stream import DONE
from conformance.http_bytes import Response

Break = Callable[[Response], Response | bytes]
"""From a healthy answer to a broken one; bytes are a whole message."""


def in_headers(**changed: str | None) -> Break:
    """Set headers, or take them away."""
    names = {name.replace("_", "-"): value for name, value in changed.items()}

    def apply(response: Response) -> Response:
        kept = [(name, value) for name, value in response.headers if name not in names]
        return replace(response, headers=(*kept, *((name, v) for name, v in names.items() if v is not None)))

    return apply


def in_json(change: Callable[[Any], Any]) -> Break:
    """Change the value of a JSON answer, streams excepted; a function that returns None has changed it in place."""

    def apply(response: Response) -> Response:
        if is_stream(response) or is_lines(response) or not response.body:
            return response
        value = json.loads(response.body)
        changed = change(value)
        return replace(response, body=json.dumps(value if changed is None else changed).encode())

    return apply


def in_events(change: Callable[[list[Any]], list[Any] | None]) -> Callable[[Response], Response]:
    """Change the list of a stream's events: JSON values, and `[DONE]` as a text; whole answers excepted."""

    def apply(response: Response) -> Response:
        if not is_stream(response):
            return response
        texts = [part.removeprefix("data: ") for part in response.body.decode().split("\n\n") if part]
        events = [text if text == DONE else json.loads(text) for text in texts]
        changed = change(events)
        return replace(response, body=b"".join(map(_event_bytes, events if changed is None else changed)))

    return apply


def in_named_events(change: Callable[[list[Any]], list[Any] | None]) -> Callable[[Response], Response]:
    """Change the list of a stream's events that have names; whole answers excepted."""

    def apply(response: Response) -> Response:
        if not is_stream(response):
            return response
        events = [json.loads(text) for text in re.findall(r"^data: (.*)$", response.body.decode(), re.MULTILINE)]
        changed = change(events)
        told = events if changed is None else changed
        return replace(response, body=b"".join(f"event: {e['type']}\n".encode() + _event_bytes(e) for e in told))

    return apply


def in_lines(change: Callable[[list[Any]], list[Any] | None]) -> Callable[[Response], Response]:
    """Change the list of a stream's lines of JSON; whole answers excepted."""

    def apply(response: Response) -> Response:
        if not is_lines(response):
            return response
        lines = [json.loads(line) for line in response.body.splitlines()]
        changed = change(lines)
        told = lines if changed is None else changed
        return replace(response, body=b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in told))

    return apply


def in_bytes(pattern: bytes, to: bytes, *, times: int = 0) -> Break:
    """Replace a pattern in the body of a stream."""

    def apply(response: Response) -> Response:
        return (
            replace(response, body=re.sub(pattern, to, response.body, count=times))
            if is_stream(response) or is_lines(response)
            else response
        )

    return apply


def each_choice(change: Callable[[dict[str, Any]], object]) -> Break:
    """Change every choice of a whole answer in place."""

    def apply(value: Any) -> None:
        for choice in value.get("choices", []):
            change(choice)

    return in_json(apply)


def each_chunk(change: Callable[[int, dict[str, Any]], object]) -> Break:
    """Change every chunk of a stream in place; the function also gets its number."""

    def apply(events: list[Any]) -> None:
        for number, event in enumerate(events):
            if event != DONE:
                change(number, event)

    return in_events(apply)


def is_stream(response: Response) -> bool:
    """Whether an answer is a stream of events."""
    return (response.header("content-type") or "").startswith("text/event-stream")


def is_lines(response: Response) -> bool:
    """Whether an answer is a stream of lines of JSON."""
    return (response.header("content-type") or "").startswith("application/x-ndjson")


def with_status(status: int) -> Break:
    """Answer an error with another status."""
    return lambda response: replace(response, status=status) if response.status >= 400 else response


def swap(items: list[Any], places: Sequence[int]) -> None:
    """Change the second and the third of these places."""
    first, second = places[1:3]
    items[first], items[second] = items[second], items[first]


def _event_bytes(event: Any) -> bytes:
    text = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def without(names: Sequence[str]) -> Callable[[dict[str, Any]], None]:
    """A change that takes fields away."""

    def change(value: dict[str, Any]) -> None:
        for name in names:
            value.pop(name, None)

    return change


def count_one_more(name: str) -> Callable[[Any], None]:
    """A change that adds one to a count of the usage, and to the total with it."""

    def change(value: Any) -> None:
        if value.get("usage"):
            value["usage"][name] += 1
            value["usage"]["total_tokens"] += name != "total_tokens"

    return change
