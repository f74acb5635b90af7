"""Why `pip download` failed, in one line, from what it printed. pip's own last line is often only its last hint."""

import re
from typing import Final

_MAX_LENGTH: Final = 300
_LOST: Final = re.compile(r"after connection broken by (.+?)'?: \S+$")
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
# Since pip 25 a failure is drawn as: "error: some-code", a line with a cross that says it, lines with hints.
_CROSS: Final = "×"
_TRACEBACK: Final = "Exception:"
"""What pip had not expected, such as a full disk: a traceback follows, with what was raised in it."""
_RAISED: Final = re.compile(r"[\w.]*(Error|Exception): ")


def failure_reason(log: str, python: str) -> str:
    """The line that tells a person most.

    Args:
        log: All that pip printed.
        python: The interpreter that ran it, for advice.
    """
    if "No module named pip" in log:
        return (
            f"this Python has no pip ({python}): run `{python} -m ensurepip`, "
            "or `uv pip install pip` in an environment that uv made, and start again"
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reason = _lost_connection(lines) or _said(lines, _CROSS) or _error(lines) or " ".join(lines[-1:])
    return reason[:_MAX_LENGTH] or "pip failed and did not say why"


def _lost_connection(lines: list[str]) -> str | None:
    """After lost connections pip's last word is only that it found no version."""
    causes = [found[1] for line in lines if (found := _LOST.search(line))]
    if not causes:
        return None
    errno = _ERRNO.search(causes[-1])
    return f"the package index cannot be reached ({errno[1] if errno else causes[-1].strip(chr(39))})"


def _error(lines: list[str]) -> str | None:
    error = _said(lines, "ERROR:")
    if error == _TRACEBACK:
        return next((line for line in reversed(lines) if _RAISED.match(line)), error)
    warning = _said(lines, "WARNING:")
    if error is None or warning is None or not error.startswith("No matching distribution"):
        return error
    # Nothing was found, and what was skipped on the way is most likely why.
    return f"{error} ({warning})"


def _said(lines: list[str], mark: str) -> str | None:
    """The rest of the last line that begins with this mark."""
    return next((line.removeprefix(mark).strip() for line in reversed(lines) if line.startswith(mark)), None)
