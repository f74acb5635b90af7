"""The processor and the machine's main memory."""

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from obeaver.monitor.device import DeviceMemory


def read_cpu() -> DeviceMemory:
    """Main memory, under the processor's name."""
    memory = psutil.virtual_memory()
    return DeviceMemory(cpu_name(), memory.total, memory.total - memory.available)


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo"), brand: Callable[[], str] | None = None) -> str:
    """What the processor is called: by Linux's file, by macOS's `sysctl`, elsewhere by Python's `platform`.

    Args:
        cpuinfo: Linux's file.
        brand: What macOS says; "" where it says nothing.
    """
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else (brand or _brand)() or platform.processor() or platform.machine() or "CPU"


def _brand() -> str:
    if platform.system() != "Darwin":
        return ""
    command = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=2.0, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
