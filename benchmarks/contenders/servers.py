"""Start servers on free ports, wait until they answer, stop them."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.conductor import ContenderFailed

MAX_START_S = 180.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Attributes:
        name: In tables.
        url: Scheme, host, port and what stands before `/v1`.
        model: What it calls its model.
        pid: Its process, if it was started here.
        load_s: From the start of the process to the first healthy answer.
    """

    name: str
    url: str
    model: str = "benchmark"
    pid: int | None = None
    load_s: float = 0.0

    def resident_mb(self) -> float:
        """Resident memory of the process and its children, MB.

        Raises:
            ContenderFailed: The process is not known or not there any more.
        """
        if self.pid is None:
            raise ContenderFailed("its process was not started here")
        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
            return sum(member.memory_info().rss for member in family) / 1e6
        except psutil.Error as error:
            raise ContenderFailed(f"its process cannot be read: {error}") from None


@contextlib.contextmanager
def obeaver(
    model: str, *flags: str, name: str = "obeaver", command: str = "serve", timeout_s: float = MAX_START_S
) -> Iterator[Server]:
    """The product itself, from this environment.

    Args:
        model: Name or folder.
        flags: Further words of the command line.
        name: In tables.
        command: `serve` or `serve-embed`.
        timeout_s: How long it may take to start.

    Raises:
        ContenderFailed: It does not start.
    """
    port = free_port()
    words = [sys.executable, "-m", "obeaver", command, model, "--port", str(port), "--log-level", "warning", *flags]
    with _running(name, words, f"http://127.0.0.1:{port}", health="/health", timeout_s=timeout_s) as server:
        yield server


@contextlib.contextmanager
def llama_server(
    gguf: Path,
    *,
    threads: int,
    slots: int,
    context: int,
    chat_template: Path | None = None,
    name: str = "llama-server",
    timeout_s: float = MAX_START_S,
) -> Iterator[Server]:
    """`llama-server` from the PATH on a GGUF file.

    Args:
        gguf: The model.
        threads: Threads that compute.
        slots: Streams at once.
        context: Tokens of each stream.
        chat_template: Template file in place of the model's own.
        name: In tables.
        timeout_s: How long it may take to start.

    Raises:
        ContenderFailed: It does not start.
    """
    port = free_port()
    words = [
        *("llama-server", "--model", str(gguf), "--port", str(port), "--threads", str(threads)),
        *("--threads-batch", str(threads), "--parallel", str(slots), "--ctx-size", str(slots * context)),
        *(("--jinja", "--chat-template-file", str(chat_template)) if chat_template else ()),
    ]
    with _running(name, words, f"http://127.0.0.1:{port}", health="/health", timeout_s=timeout_s) as server:
        yield server


@contextlib.contextmanager
def ollama(
    gguf: Path, *, threads: int, slots: int, context: int, name: str = "ollama", timeout_s: float = MAX_START_S
) -> Iterator[Server]:
    """`ollama` from the PATH on a GGUF file, with a model store of its own that is thrown away.

    Args:
        gguf: The model.
        threads: Threads that compute.
        slots: Streams at once.
        context: Tokens of each stream.
        name: In tables.
        timeout_s: How long it may take to start.

    Raises:
        ContenderFailed: It does not start, or does not take the file.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        environ = {
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_MODELS": str(Path(scratch) / "models"),
            "OLLAMA_NUM_PARALLEL": str(slots),
            "OLLAMA_CONTEXT_LENGTH": str(context),
            "OLLAMA_KEEP_ALIVE": "-1",
        }
        recipe = Path(scratch) / "Modelfile"
        recipe.write_text(f"FROM {gguf}\nPARAMETER num_ctx {context}\nPARAMETER num_thread {threads}\n")
        with _running(
            name, ["ollama", "serve"], f"http://127.0.0.1:{port}", health="/", environ=environ, timeout_s=timeout_s
        ) as server:
            create = ["ollama", "create", "benchmark", "-f", str(recipe)]
            made = subprocess.run(create, env=os.environ | environ, capture_output=True, text=True, check=False)
            if made.returncode:
                raise ContenderFailed(f"ollama create: {made.stderr.strip()[-300:]}")
            yield server


def at_url(name: str, url: str) -> Server:
    """A server that runs already.

    Args:
        name: In tables.
        url: Scheme, host and port, with or without `/v1`.

    Raises:
        ContenderFailed: It does not answer `/v1/models`.
    """
    base = url.rstrip("/").removesuffix("/v1")
    try:
        with urllib.request.urlopen(base + "/v1/models", timeout=30) as answer:  # noqa: S310
            models = json.load(answer)["data"]
            return Server(name, base, model=models[0]["id"] if models else "benchmark")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContenderFailed(f"{base}/v1/models does not answer as expected: {error}") from None


def is_on_path(program: str) -> bool:
    """Whether a peer's program is on this machine."""
    return shutil.which(program) is not None


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(
    name: str,
    words: Sequence[str],
    url: str,
    *,
    health: str,
    timeout_s: float,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        begin = time.monotonic()
        process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | dict(environ or {}))
        try:
            _wait_until_healthy(process, url + health, min(timeout_s, MAX_START_S), log)
            yield Server(name, url, pid=process.pid, load_s=time.monotonic() - begin)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_healthy(process: "subprocess.Popen[Any]", url: str, timeout_s: float, log: IO[bytes]) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ContenderFailed(f"it ended with status {process.returncode} before it answered: {_last_line(log)}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
                if answer.status == http.client.OK:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(_POLL_S)
    raise ContenderFailed(f"it gave no healthy answer within {timeout_s:.0f} s: {_last_line(log)}")


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it said nothing"
