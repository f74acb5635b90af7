"""Which trace a request belongs to. Source: W3C Recommendation "Trace Context", level 1."""

import re
import secrets
from dataclasses import dataclass
from typing import Final

HEADER: Final = "traceparent"

_VERSION_0: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LATER: Final = re.compile(r"(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""What later versions add stands behind a further dash."""

_SAMPLED: Final = 0x01
"""The one flag that level 1 knows; a server hands on no other."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them.
        sampled: Whether the caller records the trace.
    """

    trace_id: str
    span_id: str
    sampled: bool

    def child(self, span_id: str) -> "TraceContext":
        """The same trace, in a span below."""
        return TraceContext(self.trace_id, span_id, self.sampled)

    def header(self) -> str:
        """As `traceparent` has it."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def read_trace_context(value: str) -> TraceContext | None:
    """The context that a header names; None where it names none."""
    match = _VERSION_0.fullmatch(value) or _LATER.fullmatch(value)
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return TraceContext(match[1], match[2], bool(int(match[3], 16) & _SAMPLED))


def new_span_id() -> str:
    """One that nobody else has."""
    return secrets.token_hex(8)
