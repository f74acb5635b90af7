"""A stream of server-sent events, read strictly. Source: WHATWG HTML, 9.2 "Server-sent events"."""

import re
from dataclasses import dataclass
from typing import Any

from conformance.json_text import read_json
from conformance.streams import Stream

MEDIA_TYPE = "text/event-stream"
DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANK_LINE = re.compile(rb"[\r\n]{2,}")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, or None, and its data."""

    name: str | None
    data: str


def read_event_stream(body: bytes) -> Stream:
    """Read a whole body that ends with `[DONE]`, and name everything in it that a careful client could trip over."""
    events, problems = _events(body)
    texts = [event.data for event in events]
    problems += _done_problems(texts)
    values, wrong = _values([text for text in texts if text != DONE])
    return Stream(tuple(values), (*problems, *wrong))


def read_named_events(body: bytes) -> Stream:
    """The same for a body whose events have names, which their data tell as `type`; there is no `[DONE]`."""
    events, problems = _events(body)
    values, wrong = _values([event.data for event in events])
    problems += wrong
    if not wrong:
        pairs = zip(events, values, strict=True)
        types = [(event.name, value.get("type") if isinstance(value, dict) else None) for event, value in pairs]
        problems += [f"the event {name!r} says that it is {kind!r}" for name, kind in types if name != kind]
    return Stream(tuple(values), tuple(problems))


def _events(body: bytes) -> tuple[list[Event], list[str]]:
    problems = [*_line_end_problems(body)]
    events: list[Event] = []
    for block in _LINE_END.sub(b"\n", body).split(b"\n\n"):
        event, wrong = _event(block)
        problems += wrong
        if event is not None:
            events.append(event)
    return events, problems


def _event(block: bytes) -> tuple[Event | None, list[str]]:
    name: str | None = None
    data: list[str] = []
    problems: list[str] = []
    for line in filter(None, block.split(b"\n")):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            problems.append(f"a line is no UTF-8: {line[:80]!r}")
            continue
        field, colon, value = text.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.removeprefix(" ")
        elif not colon or field not in {"", "id", "retry"}:
            problems.append(f"a line is no field of an event stream: {text[:80]!r}")
    return (Event(name, "\n".join(data)) if data else None), problems


def _values(texts: list[str]) -> tuple[list[Any], list[str]]:
    values: list[Any] = []
    problems: list[str] = []
    for text in texts:
        try:
            values.append(read_json(text))
        except ValueError as error:
            problems.append(f"an event is no JSON ({error}): {text[:80]!r}")
    return values, problems


def _line_end_problems(body: bytes) -> list[str]:
    problems = []
    # The specification lets them be mixed, but the SDKs look for two of one kind to cut events apart.
    if any(len(set(_LINE_END.findall(found[0]))) > 1 for found in _BLANK_LINE.finditer(body)):
        problems.append("a blank line is made of line ends of several kinds: SDKs do not see it")
    if not _LINE_END.sub(b"\n", body).endswith(b"\n\n"):
        problems.append("the last event does not end with a blank line")
    return problems


def _done_problems(texts: list[str]) -> list[str]:
    if DONE not in texts:
        return ["[DONE] is missing"]
    problems = []
    if texts.count(DONE) > 1:
        problems.append("[DONE] stands there more than once")
    if texts[-1] != DONE:
        problems.append(f"events follow [DONE]: {texts[-1][:80]!r}")
    return problems
