"""The server's log on standard error, as lines for people or as JSON for programs."""

import logging
import sys
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

from obeaver.web.log_labels import log_labels

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_NAMES: Final = {"levelname": "level", "name": "logger", "exc_info": "error"}


def log_to_stderr(level: str, form: str) -> None:
    """Log everything from this level on.

    Args:
        level: In lower case.
        form: `text` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


class _Json(JsonFormatter):
    """One object a line: `time`, `level`, `logger`, `message`; of a request also `request_id`, `trace_id`, `span_id`.

    Further members are what the line was given beside its message, and `error` is a traceback.
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s", rename_fields=_NAMES, timestamp="time")

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """The library's place for further members."""
        super().add_fields(log_data, record, message_dict)
        labels = log_labels()
        if labels is None:
            return
        log_data["request_id"] = labels.request_id
        if labels.trace is not None:
            log_data |= {"trace_id": labels.trace.trace_id, "span_id": labels.trace.span_id}
