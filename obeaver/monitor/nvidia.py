"""NVIDIA GPUs: through NVML where its Python package is installed (extra `nvidia`), else through the driver's own tool.

Sources: NVML API Reference (nvmlDeviceGetMemoryInfo, bytes); `nvidia-smi --help-query-gpu`.
"""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from obeaver.monitor.device import MIB, DeviceMemory

QUERY = ("--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
"""Prints a line such as `NVIDIA L4, 23034, 512` for each GPU; the figures are MiB."""

TIMEOUT_S = 2.0
"""A driver that is being reset blocks its tool for good."""


class Nvml(Protocol):
    """What is used of `pynvml`."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None:  # noqa: N802
        """Load the driver's library."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        """A GPU."""

    def nvmlDeviceGetName(self, handle: Any) -> str | bytes:  # noqa: N802
        """Its name; bytes in old versions."""

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: N802
        """With `total` and `used`, in bytes."""


def nvidia_gpu() -> DeviceMemory | None:
    """The first GPU."""
    try:
        import pynvml
    except ImportError:
        return smi_gpu()
    return nvml_gpu(pynvml) or smi_gpu()


def nvml_gpu(nvml: Nvml) -> DeviceMemory | None:
    """The first GPU that NVML knows; None where there is no driver, or it refuses."""
    try:
        nvml.nvmlInit()  # counts its calls; the library stays loaded for the life of the process
        handle = nvml.nvmlDeviceGetHandleByIndex(0)
        name, memory = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:
        return None
    return DeviceMemory(name.decode() if isinstance(name, bytes) else name, int(memory.total), int(memory.used))


def smi_gpu(run: Callable[[Sequence[str]], str | None] | None = None) -> DeviceMemory | None:
    """The first GPU, if the driver's tool is there and answers.

    Args:
        run: Runs the tool with these arguments and returns its output, None where that fails.
    """
    output = (run or _nvidia_smi)(QUERY)
    fields = [field.strip() for field in output.partition("\n")[0].split(",")] if output else []
    if len(fields) != 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
        return None
    return DeviceMemory(fields[0], int(fields[1]) * MIB, int(fields[2]) * MIB)


def _nvidia_smi(arguments: Sequence[str]) -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
