"""What pip prints when it fails, recorded from pip 23.2 and 26.3, and the one line that is made of it."""

import pytest

from obeaver.models.sources.pip_reason import failure_reason

NOTHING_FOUND = (
    "ERROR: Could not find a version that satisfies the requirement tiny-model==1 (from versions: none)\n"
    "ERROR: No matching distribution found for tiny-model==1\n"
)
RETRY = "WARNING: Retrying (Retry(total=0, connect=None, read=None)) after connection broken by "

CASES = {
    "nothing of that name": (NOTHING_FOUND, "No matching distribution found for tiny-model==1"),
    "an index that pip skipped": (
        "WARNING: The repository located at example.invalid is not a trusted or secure host.\n" + NOTHING_FOUND,
        (
            "No matching distribution found for tiny-model==1 "
            "(The repository located at example.invalid is not a trusted or secure host.)"
        ),
    ),
    "refused, pip 23": (
        RETRY + "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f88d3d4cc50>: "
        "Failed to establish a new connection: [Errno 111] Connection refused')': /simple/tiny-model/\n"
        + NOTHING_FOUND,
        "the package index cannot be reached (Connection refused)",
    ),
    "refused, pip 26": (
        RETRY + "'NewConnectionError(\"HTTPSConnection(host='127.0.0.1', port=9): "
        "Failed to establish a new connection: [Errno 111] Connection refused\")': /simple/tiny-model/\n"
        + NOTHING_FOUND,
        "the package index cannot be reached (Connection refused)",
    ),
    "no such host": (
        RETRY + "'NewConnectionError('<HTTPSConnection object at 0x7f>: Failed to establish a new connection: "
        "[Errno -2] Name or service not known')': /simple/tiny-model/\n" + NOTHING_FOUND,
        "the package index cannot be reached (Name or service not known)",
    ),
    "silence": (
        RETRY + "'ReadTimeoutError(\"HTTPSConnectionPool(host='127.0.0.1', port=9): Read timed out. "
        "(read timeout=5.0)\")': /simple/tiny-model/\n" + NOTHING_FOUND,
        (
            "the package index cannot be reached (ReadTimeoutError(\"HTTPSConnectionPool(host='127.0.0.1', port=9): "
            'Read timed out. (read timeout=5.0)"))'
        ),
    ),
    "a download cut short, pip 26": (
        (
            "error: incomplete-download\n\n"
            "× Download failed after 6 attempts because not enough bytes were received (50 kB/200 kB)\n"
            "╰─> URL: /files/tiny_model-1.0-py3-none-any.whl\n\n"
            "note: This is an issue with network connectivity, not pip.\n"
            "hint: Use --resume-retries to configure resume attempt limit.\n"
        ),
        "Download failed after 6 attempts because not enough bytes were received (50 kB/200 kB)",
    ),
    "no space": (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
        "Could not install packages due to an OSError: [Errno 28] No space left on device",
    ),
    "no space, while a file is written": (
        (
            'ERROR: Exception:\nTraceback (most recent call last):\n  File "x.py", line 1, in write\n'
            'OSError: [Errno 28] No space left on device\n  File "y.py", line 2, in cut off\n'
        ),
        "OSError: [Errno 28] No space left on device",
    ),
    "something else": ("Traceback\nAssertionError: boom\n", "AssertionError: boom"),
    "nothing": ("", "pip failed and did not say why"),
}


@pytest.mark.parametrize(("log", "reason"), CASES.values(), ids=CASES)
def test_the_most_telling_line_is_found(log: str, reason: str) -> None:
    assert failure_reason(log, "python") == reason


def test_a_reason_is_never_a_page() -> None:
    assert len(failure_reason("ERROR: " + "x" * 10_000, "python")) == 300


def test_a_missing_pip_gets_advice() -> None:
    reason = failure_reason("/venv/bin/python: No module named pip\n", "/venv/bin/python")
    assert "`/venv/bin/python -m ensurepip`" in reason
    assert "`uv pip install pip`" in reason
