"""A real server in a process of its own, on a free port."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SERVING = re.compile(r"serving on (https?://\S+)")


@dataclass(slots=True)
class ServerProcess:
    """A started server: where it listens, its process, and what it logged so far."""

    url: str
    process: subprocess.Popen[str]
    log: list[str]


class ServerEnded(Exception):
    """The server's process ended before it listened; the text is its log."""


def serve(*words: str, command: str = "serve", **environ: str) -> contextlib.AbstractContextManager[ServerProcess]:
    """Run `python -m obeaver COMMAND WORDS --port 0` until the block ends, with further variables of the environment.

    Raises:
        ServerEnded: It ended before it listened.
    """
    return running([sys.executable, "-m", "obeaver", command, *words, "--port", "0"], environ)


@contextlib.contextmanager
def running(line: Sequence[str], environ: Mapping[str, str], cwd: Path | None = None) -> Iterator[ServerProcess]:
    """Run a server's command line until the block ends.

    Raises:
        ServerEnded: It ended before it listened.
    """
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}, cwd=cwd) as process:
        try:
            yield _started(process)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given until the block ends, though a server may listen on it, end and listen again.

    A socket that is bound and never listens keeps it; servers can bind it as well, since both have SO_REUSEADDR.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port


def _started(process: subprocess.Popen[str]) -> ServerProcess:
    log: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if found := _SERVING.search(line):
            # Somebody has to go on reading, or the server stops when the pipe is full.
            threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
            return ServerProcess(found[1], process, log)
    raise ServerEnded("".join(log))
