"""The headers of an answer; an SDK keeps them to itself, so this is only for answers read as bytes."""

import re

from conformance.turns import Turn


def violations(turn: Turn) -> list[str]:
    """What is wrong with the headers."""
    if turn.response is None:
        return []
    found = []
    content_type = turn.response.header("content-type") or ""
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", content_type, re.IGNORECASE)
    if charset and charset[1].lower() not in {"utf-8", "utf8"}:
        found.append(f"the charset is {charset[1]}: JSON and event streams are UTF-8")
    names = [name for name, _ in turn.response.headers]
    once = ("content-type", "content-length", "transfer-encoding")
    found += [f"there are {names.count(name)} {name} headers" for name in once if names.count(name) > 1]
    if "content-length" in names and "transfer-encoding" in names:
        found.append("there are both Content-Length and Transfer-Encoding")
    return found
