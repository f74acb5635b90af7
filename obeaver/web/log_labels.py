"""Which request a line of the log is about: known to whatever logs while a request is answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

from obeaver.web.trace_context import TraceContext


class LogLabels(NamedTuple):
    """What the lines of a request have in common.

    Attributes:
        request_id: As `x-request-id` tells it.
        trace: Where the request stands in a trace; None where its client keeps none.
    """

    request_id: str
    trace: TraceContext | None


_LABELS: Final[ContextVar[LogLabels | None]] = ContextVar("obeaver.log_labels", default=None)


@contextmanager
def labelled(labels: LogLabels) -> Iterator[None]:
    """Label what this task logs within the block."""
    token = _LABELS.set(labels)
    try:
        yield
    finally:
        _LABELS.reset(token)


def log_labels() -> LogLabels | None:
    """The labels of whoever asks; None outside of requests, as in the engine's thread."""
    return _LABELS.get()
