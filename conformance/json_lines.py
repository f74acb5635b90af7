"""A stream of lines of JSON, read strictly."""

from typing import Any

from conformance.json_text import read_json
from conformance.streams import Stream

MEDIA_TYPE = "application/x-ndjson"


def read_json_lines(body: bytes) -> Stream:
    """Read a whole body, and name everything in it that a careful client could trip over."""
    problems = [] if body.endswith(b"\n") else ["the last line does not end"]
    if b"\r" in body:
        problems.append("there are carriage returns between the lines")
    values: list[Any] = []
    for line in body.removesuffix(b"\n").split(b"\n"):
        try:
            values.append(read_json(line))
        except ValueError as error:
            problems.append(f"a line is no JSON ({error}): {line[:80]!r}")
    return Stream(tuple(values), tuple(problems))
