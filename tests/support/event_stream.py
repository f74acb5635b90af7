"""An independent reader of server-sent events, line by line after the specification.

Source: WHATWG HTML, 9.2.6, "Interpreting an event stream".
"""

import json
import re
from typing import Any


def read_events(stream: bytes, *, named: bool = False) -> list[str]:
    """The `data` of every event that the stream dispatches. An event without its blank line is none.

    Args:
        stream: All of it.
        named: Whether events have names.
    """
    events: list[str] = []
    data: list[str] = []
    text = stream.decode("utf-8")
    for line in re.split(r"\r\n|\r|\n", text)[:-1]:
        if line == "":
            if data:
                events.append("\n".join(data))
            data = []
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            assert name == "data" or (named and name == "event"), f"a field that nobody asked for: {name!r}"
            data += [value.removeprefix(" ")] if name == "data" else []
    return events


def read_json_events(stream: bytes, *, named: bool = False) -> list[Any]:
    """The JSON values of the events, without the final `[DONE]`."""
    return [json.loads(event) for event in read_events(stream, named=named) if event != "[DONE]"]
