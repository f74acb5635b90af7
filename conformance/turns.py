"""One request and its answer, whoever asked: an SDK or a few lines of HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.http_bytes import Response


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and its answer.

    Attributes:
        endpoint: The path below the address that an SDK is given, such as `/chat/completions`.
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
