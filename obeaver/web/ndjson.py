"""Newline-delimited JSON as bytes: a stream of values, each on a line of its own. Pure."""

from obeaver.web import json_codec

MEDIA_TYPE = "application/x-ndjson"


def line(data: object) -> bytes:
    """One value. A string goes as it is, and has to be JSON text without line ends; anything else goes as JSON."""
    return (data.encode() if isinstance(data, str) else json_codec.encode(data)) + b"\n"
