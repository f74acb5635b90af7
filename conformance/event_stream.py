"""A stream of server-sent events, read strictly. Source: WHATWG HTML, 9.2 "Server-sent events"."""

import json
import re
from dataclasses import dataclass
from typing import Any

DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANK_LINE = re.compile(rb"[\r\n]{2,}")


@dataclass(frozen=True, slots=True)
class EventStream:
    """What a body holds.

    Attributes:
        values: The JSON values of the events, in order, without `[DONE]`.
        problems: What is wrong with the framing, as sentences.
    """

    values: tuple[Any, ...]
    problems: tuple[str, ...]


def read_event_stream(body: bytes) -> EventStream:
    """Read a whole body, and name everything in it that a careful client could trip over."""
    problems = [*_line_end_problems(body)]
    texts: list[str] = []
    for block in _LINE_END.sub(b"\n", body).split(b"\n\n"):
        text, wrong = _event_text(block)
        problems += wrong
        if text is not None:
            texts.append(text)
    problems += _done_problems(texts)
    values: list[Any] = []
    for text in texts:
        if text == DONE:
            continue
        try:
            values.append(json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant))
        except ValueError as error:
            problems.append(f"an event is no JSON ({error}): {text[:80]!r}")
    return EventStream(tuple(values), tuple(problems))


def read_json(body: bytes) -> Any:
    """The value of a JSON body.

    Raises:
        ValueError: It is no UTF-8, no JSON, has NaN or a key twice.
    """
    return json.loads(body.decode("utf-8"), object_pairs_hook=_without_twins, parse_constant=_no_constant)


def _event_text(block: bytes) -> tuple[str | None, list[str]]:
    data: list[str] = []
    problems: list[str] = []
    for line in filter(None, block.split(b"\n")):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            problems.append(f"a line is no UTF-8: {line[:80]!r}")
            continue
        name, colon, value = text.partition(":")
        if colon and name in {"", "event", "id", "retry"}:
            continue
        if name != "data":
            problems.append(f"a line is no field of an event stream: {text[:80]!r}")
            continue
        data.append(value.removeprefix(" "))
    return ("\n".join(data) if data else None), problems


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


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("an object has the same key twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
