"""Groups `load` and `memory`: what a server's process costs before and while it answers."""

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.conductor import ContenderFailed, Measure, Question
from benchmarks.contenders.servers import Server
from benchmarks.questions.chat import streams
from benchmarks.results.document import Metric

_EVERY_S = 0.05
_NUM_STREAMS, _NUM_TOKENS = 8, 1024


def load_question(bench: Bench) -> Question:
    """How long servers take to start. In a hurry it is those of the run, which this starts; else fresh ones."""
    loaded = Metric("load.seconds", "load: from the command to the first healthy answer", "s", higher_is_better=False)
    start = _running_load if bench.options.quick else _fresh_load
    return _of_processes(bench, "load", "load", [loaded], {name: start(bench, name) for name in bench.fleet.names})


def memory_question(bench: Bench) -> Question:
    """What servers hold in memory. In a hurry it is those of the run, after what they have answered by then."""
    if bench.options.quick:
        resident = Metric("resident.mb", "resident memory after the load", "MB", higher_is_better=False)
        measures = {name: _resident(bench, name) for name in bench.fleet.names}
        return _of_processes(bench, "resident", "memory", [resident], measures)
    what = f"{_NUM_STREAMS} streams of {_NUM_TOKENS:,} tokens"
    metrics = [
        Metric("memory.serving", f"resident memory while serving {what}", "MB", higher_is_better=False),
        Metric("memory.peak", f"peak of the process until then, {what}", "MB", higher_is_better=False),
    ]
    return _of_processes(
        bench, "memory", "memory", metrics, {name: _fresh_memory(bench, name) for name in bench.fleet.names}
    )


def _of_processes(
    bench: Bench, question_id: str, group: str, metrics: list[Metric], measures: Mapping[str, Measure]
) -> Question:
    rounds = 1 if bench.options.quick else None
    return Question(question_id, group, metrics, measures, bench.ours, rounds=rounds, warm_up=False)


def _running_load(bench: Bench, name: str) -> Measure:
    def measure() -> Mapping[str, float]:
        server = bench.fleet.server(name)
        if server.pid is None:
            raise ContenderFailed("it was not started here")
        return {"load.seconds": server.load_s}

    return measure


def _fresh_load(bench: Bench, name: str) -> Measure:
    def measure() -> Mapping[str, float]:
        with bench.fleet.fresh(name) as server:
            return {"load.seconds": server.load_s}

    return measure


def _resident(bench: Bench, name: str) -> Measure:
    return lambda: {"resident.mb": bench.fleet.server(name).resident_mb()}


def _fresh_memory(bench: Bench, name: str) -> Measure:
    def measure() -> Mapping[str, float]:
        with bench.fleet.fresh(name) as server, _Highest(server) as highest:
            half = _NUM_TOKENS // 2
            bench.limit.run(streams(server, _NUM_STREAMS, half - 30, half))
            figures = {"memory.serving": highest.stop()}
            if (peak_mb := peak_resident_mb(server)) is not None:
                figures["memory.peak"] = peak_mb
            return figures

    return measure


def peak_resident_mb(server: Server) -> float | None:
    """The most that the process ever had resident, MB, where the system keeps count of it (Linux)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


class _Highest:
    """Looks at a server's resident memory again and again, from a thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._highest_mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Highest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> float:
        """The highest so far, MB."""
        self._ended.set()
        self._thread.join()
        return self._highest_mb

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            try:
                self._highest_mb = max(self._highest_mb, self._server.resident_mb())
            except ContenderFailed:
                return
