"""Start servers on free ports, wait until they answer, stop them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers."""

    name: str
    url: str
    pid: int

    def resident_mb(self) -> float:
        """Resident memory of the process, MB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def obeaver(model: str, *flags: str, name: str = "obeaver", command: str = "serve") -> Iterator[RunningServer]:
    """The product itself, from this environment."""
    port = free_port()
    words = [sys.executable, "-m", "obeaver", command, model, "--port", str(port), "--log-level", "warning", *flags]
    with _running(name, words, port) as server:
        yield server


@contextlib.contextmanager
def llama_server(gguf: Path, *, threads: int, slots: int, context: int, name: str) -> Iterator[RunningServer]:
    """`llama-server` from the PATH on a GGUF file.

    Args:
        gguf: The model.
        threads: Threads that compute.
        slots: Streams at once.
        context: Tokens of each stream.
        name: Its name in the table.
    """
    port = free_port()
    command = [
        *("llama-server", "--model", str(gguf), "--port", str(port), "--threads", str(threads)),
        *("--threads-batch", str(threads), "--parallel", str(slots), "--ctx-size", str(slots * context)),
    ]
    with _running(name, command, port) as server:
        yield server


def has_llama_server() -> bool:
    """Whether the peer is on this machine."""
    return shutil.which("llama-server") is not None


@contextlib.contextmanager
def _running(name: str, command: Sequence[str], port: int) -> Iterator[RunningServer]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_healthy(process, url)
            yield RunningServer(name, url, process.pid)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-3000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url + "/health", timeout=2) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"no healthy answer from {url} within {timeout_s:g} s")
