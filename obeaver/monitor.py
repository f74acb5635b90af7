"""What this machine and this process use: memory of each kind of device, and the process's own.

A device that is not there, or that cannot be asked, is `unavailable` with zeros: nothing is ever estimated. A GPU is
asked through `nvidia-smi`, or through the files of Linux's amdgpu driver; an NPU has no memory of its own that a system
tells of, so only its absence is certain and it is `unavailable` as well.

`snapshot` reads files and may start a process: call it from a thread, never from an event loop.
"""

import platform
import shutil
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

MIB = 1024 * 1024

NVIDIA_QUERY = ("--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
"""Prints a line such as `NVIDIA L4, 23034, 512` for each GPU; the figures are MiB."""

NVIDIA_TIMEOUT_S = 2.0
"""A driver that is being reset blocks its tool for good."""


class DeviceMemory(NamedTuple):
    """One device's memory. Sizes in bytes."""

    label: str
    total: int
    used: int
    available: int


class Monitor:
    """Reads memory and load. One for a process: `cpu_percent` is the load since the call before.

    Args:
        read_gpu: Tells of the GPU, or None where there is none.
    """

    def __init__(self, read_gpu: Callable[[], DeviceMemory | None] | None = None) -> None:
        self._read_gpu = read_gpu or find_gpu
        self._process = psutil.Process()
        self._process.cpu_percent()

    def snapshot(self, active: Collection[str] = ()) -> dict[str, Any]:
        """The body of `GET /api/system/memory`.

        Args:
            active: The devices that compute right now, out of `cpu`, `gpu` and `npu`.

        Returns:
            Sizes in MiB; `utilisation` is the part of the memory in use, 0 to 1.
        """
        return {
            "cpu": _device("cpu", read_cpu(), active),
            "gpu": _device("gpu", self._read_gpu(), active),
            "npu": _device("npu", None, active),
            "process": self._process_memory(),
            "platform": platform.platform(),
        }

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
    label, total, used, available = memory or DeviceMemory(f"no {kind.upper()}", 0, 0, 0)
    return {
        "device": kind,
        "label": label,
        "total_mb": _mib(total),
        "used_mb": _mib(used),
        "available_mb": _mib(available),
        "utilisation": round(min(used / total, 1.0), 4) if total else 0.0,
        "status": status,
    }


def _mib(num_bytes: int) -> float:
    return round(num_bytes / MIB, 1)


def read_cpu() -> DeviceMemory:
    """Main memory, under the processor's name."""
    memory = psutil.virtual_memory()
    return DeviceMemory(cpu_name(), memory.total, memory.total - memory.available, memory.available)


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor is called: by Linux's file, elsewhere by Python's `platform`."""
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or "CPU"


def find_gpu() -> DeviceMemory | None:
    """The first GPU that tells of its memory."""
    return nvidia_gpu() or amd_gpu()


def nvidia_gpu(run: Callable[[Sequence[str]], str | None] | None = None) -> DeviceMemory | None:
    """The first NVIDIA GPU, if its driver's tool is there and answers.

    Args:
        run: Runs the tool with these arguments and returns its output, None where that fails.
    """
    output = (run or _nvidia_smi)(NVIDIA_QUERY)
    fields = [field.strip() for field in output.partition("\n")[0].split(",")] if output else []
    if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
        return None
    total, used = int(fields[1]) * MIB, int(fields[2]) * MIB
    return DeviceMemory(fields[0], total, used, total - used)


def _nvidia_smi(arguments: Sequence[str]) -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=NVIDIA_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def amd_gpu(drm: Path = Path("/sys/class/drm")) -> DeviceMemory | None:
    """The first GPU of Linux's amdgpu driver.

    Args:
        drm: The driver's folder; `cardN/device/mem_info_vram_*` hold bytes (kernel documentation, "amdgpu: Memory").
    """
    for total_file in sorted(drm.glob("card*/device/mem_info_vram_total")):
        try:
            total = int(total_file.read_text("ascii"))
            used = int(total_file.with_name("mem_info_vram_used").read_text("ascii"))
        except (OSError, ValueError):
            continue
        return DeviceMemory("AMD GPU", total, used, total - used)
    return None
