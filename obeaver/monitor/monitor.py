"""Reads memory and load of devices and process, and tells of them as `/api/system/memory` does.

`read` reads files and may start a process: call it from a thread, never from an event loop.
"""

import platform
from collections.abc import Collection
from typing import Any, NamedTuple

import psutil

from obeaver.monitor.device import MIB, DeviceMemory
from obeaver.monitor.processor import read_cpu
from obeaver.monitor.sources import ReadDevice, find_gpu, find_npu


class Reading(NamedTuple):
    """The devices and the process at one moment; None is a device that is not there."""

    cpu: DeviceMemory
    gpu: DeviceMemory | None
    npu: DeviceMemory | None
    process: dict[str, Any]

    def as_object(self, active: Collection[str] = ()) -> dict[str, Any]:
        """The body of `GET /api/system/memory`.

        Args:
            active: The devices that compute right now, out of `cpu`, `gpu` and `npu`.

        Returns:
            Sizes in MiB; `utilisation` is the part of the memory in use, 0 to 1.
        """
        return {
            "cpu": _device("cpu", self.cpu, active),
            "gpu": _device("gpu", self.gpu, active),
            "npu": _device("npu", self.npu, active),
            "process": self.process,
            "platform": platform.platform(),
        }


class Monitor:
    """Reads memory and load. One for a process: `cpu_percent` is the load since the reading before.

    Args:
        read_gpu: Tells of the GPU, or None where there is none.
        read_npu: The same of the NPU.
    """

    def __init__(self, read_gpu: ReadDevice = find_gpu, read_npu: ReadDevice = find_npu) -> None:
        self._read_gpu = read_gpu
        self._read_npu = read_npu
        self._process = psutil.Process()
        self._process.cpu_percent()

    def read(self) -> Reading:
        """What everything uses now."""
        return Reading(read_cpu(), self._read_gpu(), self._read_npu(), self._process_memory())

    def process_rss_bytes(self) -> int:
        """Memory of this process that is in RAM."""
        return int(self._process.memory_info().rss)

    def _process_memory(self) -> dict[str, Any]:
        memory = self._process.memory_info()
        return {
            "pid": self._process.pid,
            "rss_mb": _mib(memory.rss),
            "vms_mb": _mib(memory.vms),
            "cpu_percent": self._process.cpu_percent(),
        }


def _device(kind: str, memory: DeviceMemory | None, active: Collection[str]) -> dict[str, Any]:
    status = "unavailable" if memory is None else "active" if kind in active else "idle"
    label, total, used = memory or DeviceMemory(f"no {kind.upper()}", None, None)
    tells = total is not None and used is not None
    return {
        "device": kind,
        "label": label,
        "total_mb": _mib(total or 0),
        "used_mb": _mib(used or 0),
        "available_mb": _mib(total - used) if total is not None and used is not None else 0.0,
        "utilisation": round(min(used / total, 1.0), 4) if total and used else 0.0,
        "tells_memory": tells,
        "status": status,
    }


def _mib(num_bytes: int) -> float:
    return round(num_bytes / MIB, 1)
