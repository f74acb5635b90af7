"""From what a server sent, or what an SDK saw of it, to a turn."""

from collections.abc import Mapping
from typing import Any

from conformance.dialects.dialect import Dialect
from conformance.http_bytes import Response
from conformance.json_text import read_json
from conformance.turns import Turn

JSON_TYPE = "application/json"


def turn_from_bytes(dialect: Dialect, endpoint: str, request: Mapping[str, Any], response: Response) -> Turn:
    """What was answered, from the bytes; what cannot be read is among the problems."""
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    value: Any = None
    chunks: tuple[Any, ...] | None = None
    problems = list(response.problems)
    if dialect.streams(endpoint, request) and response.status == 200:
        stream = dialect.read_stream(response.body)
        chunks, value = stream.values, dialect.joined(stream.values)
        problems += stream.problems
        if kind != dialect.stream_type:
            problems.append(f"the content type of a stream is {kind or 'missing'}")
    elif response.body:
        try:
            value = read_json(response.body)
        except ValueError as error:
            problems.append(f"the body is no JSON: {error}")
        if kind != JSON_TYPE:
            problems.append(f"the content type is {kind or 'missing'} instead of {JSON_TYPE}")
    return Turn(endpoint, request, response.status, value, chunks, response, {}, tuple(problems))


def turn_from_client(dialect: Dialect, found: Mapping[str, Any]) -> Turn:
    """What a client program reports of one call."""
    chunks = tuple(found["chunks"]) if found.get("chunks") is not None else None
    value = dialect.joined(chunks) if chunks is not None else found.get("value")
    seen = {name: found[name] for name in ("raised", "parsed", "final", "headers") if name in found}
    return Turn(found["endpoint"], found["request"], found["status"], value, chunks, None, seen)


def order_of_endings(dialect: Dialect, turn: Turn) -> list[str]:
    """What ended an answer, in its order; several of one kind in a row are one."""
    if turn.chunks is None:
        return ["error" if turn.status >= 400 else "answer"]
    kinds = dialect.endings(turn)
    return [kind for number, kind in enumerate(kinds) if number == 0 or kinds[number - 1] != kind]
