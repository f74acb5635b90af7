"""Who tells of which device: a row for each source, asked in this order."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from obeaver.monitor.accel import linux_npu
from obeaver.monitor.amd import amd_gpu
from obeaver.monitor.device import DeviceMemory
from obeaver.monitor.intel import intel_gpu
from obeaver.monitor.macos import MacGpu
from obeaver.monitor.nvidia import nvidia_gpu
from obeaver.monitor.windows import windows_gpu, windows_npu

ReadDevice = Callable[[], DeviceMemory | None]
"""Tells of a device, or says that there is none. May take seconds: for a thread."""

SOURCES: Mapping[str, tuple[ReadDevice, ...]] = MappingProxyType(
    {
        "gpu": (nvidia_gpu, amd_gpu, intel_gpu, windows_gpu, MacGpu()),
        "npu": (linux_npu, windows_npu),
    }
)
"""By kind of device."""


def find_device(sources: Iterable[ReadDevice]) -> DeviceMemory | None:
    """The first device that tells of its memory, else the first one that is there."""
    silent = None
    for read in sources:
        device = read()
        if device is not None and device.tells_memory:
            return device
        silent = silent or device
    return silent


def find_gpu() -> DeviceMemory | None:
    """The GPU."""
    return find_device(SOURCES["gpu"])


def find_npu() -> DeviceMemory | None:
    """The NPU."""
    return find_device(SOURCES["npu"])
