"""A command under watch: what time and memory it takes, children included. Linux alone, which tells it in /proc."""

import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_INTERVAL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Taken:
    """What a command took.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: Of all cores, user and system.
        peak_bytes: Of resident memory, at one moment; pages of mapped files count.
        peak_own_bytes: The same without pages that the system can take back and read again from a file.
        said: What it wrote to standard error.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    peak_own_bytes: int
    said: str


class CommandFailed(Exception):
    """It ended with another status than 0; the text is what it said."""


def watch(command: Sequence[str], environment: Mapping[str, str]) -> Taken:
    """Run a command to its end.

    Raises:
        CommandFailed: It failed.
    """
    with tempfile.TemporaryFile("w+") as said:
        started_s = time.monotonic()
        process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=said)
        peaks = _Peaks(process.pid)
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(peaks, done))
        watcher.start()
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
            done.set()
            watcher.join()
        wall_s = time.monotonic() - started_s
        said.seek(0)
        text = said.read()
    if status:
        raise CommandFailed(text)
    return Taken(wall_s, peaks.cpu_s, peaks.resident, peaks.own, text)


class _Peaks:
    """The most that a process and its children had at once."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self.resident = 0
        self.own = 0

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu_s.values())

    def look(self) -> None:
        resident = own = 0
        try:
            for process in [self._root, *self._root.children(recursive=True)]:
                file = _file_bytes(process.pid)
                memory, times = process.memory_info(), process.cpu_times()
                resident += memory.rss
                own += memory.rss - file
                self._cpu_s[process.pid] = times.user + times.system
        except (psutil.Error, OSError):  # it ended between two lines
            return
        self.resident, self.own = max(self.resident, resident), max(self.own, own)


def _watch(peaks: _Peaks, done: threading.Event) -> None:
    while not done.wait(_INTERVAL_S):
        peaks.look()


def _file_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) * 1024
    return 0
