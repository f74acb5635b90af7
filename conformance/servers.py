"""Start the servers that a file names, each on a free port, and stop them again."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.http_bytes import NoAnswer, Request, send

START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 30.0
BETWEEN_TRIES_S = 0.2


class DidNotStart(Exception):
    """A server ended, or did not answer in time; the text has its last words."""


@contextlib.contextmanager
def started(path: Path) -> Iterator[dict[str, Any]]:
    """The servers of a file such as `servers.json`.

    Gives what the command line would be given: `base_url` and the like, with the ports that were chosen.

    Raises:
        DidNotStart: One of them does not answer.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        found: dict[str, Any] = dict(document.get("options", {}))
        waiting = [(item, stack.enter_context(_process(item["command"]))) for item in document["servers"]]
        for item, (process, port, log) in waiting:
            _wait(process, port, item["ready"], log)
            found[item["option"]] = f"http://127.0.0.1:{port}{item['path']}"
        yield found


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int, Any]]:
    port = _free_port()
    words = [word.replace("{python}", sys.executable).replace("{port}", str(port)) for word in command]
    with tempfile.TemporaryFile() as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            yield process, port, log
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, log: Any) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if send(f"http://127.0.0.1:{port}", Request("GET", ready)).status == 200:
                return
        except NoAnswer:
            pass
        time.sleep(BETWEEN_TRIES_S)
    log.seek(0)
    raise DidNotStart(log.read().decode(errors="replace").strip()[-2000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
