"""Server-sent events as bytes. Pure.

Source: WHATWG HTML, 9.2.6, "Interpreting an event stream".
"""

import re

from obeaver.web import json_codec

COMMENT = b": keep-alive\n\n"
"""A line that every client skips; it shows proxies and clients that the stream lives."""

DONE = b"data: [DONE]\n\n"
"""How OpenAI's streams end."""

MEDIA_TYPE = "text/event-stream"

# The three line ends of the specification, and no others: str.splitlines would cut at U+2028 and its like as well.
_LINE_END = re.compile(r"\r\n|\r|\n")


def event(data: object, name: str | None = None, *, in_turns: bool = False) -> bytes:
    """One event.

    Args:
        data: A string goes as it is, one `data` line for each of its lines; so a line end in it can start no field.
            Anything else goes as JSON, which has no line ends.
        name: Its type, without line ends; clients take one without for a `message`.
        in_turns: The data has very many values, and a thread encodes it: see `json_codec.encode_in_turns`.
    """
    head = b"" if name is None else f"event: {name}\n".encode()
    if isinstance(data, str):
        lines = _LINE_END.split(data)
        return head + "".join(f"data: {line}\n" for line in lines).encode("utf-8", "replace") + b"\n"
    encode = json_codec.encode_in_turns if in_turns else json_codec.encode
    return head + b"data: " + encode(data) + b"\n\n"
