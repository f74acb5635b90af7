"""GPUs of Linux's driver amdgpu. Source: kernel documentation, "amdgpu: Memory Reporting" (`mem_info_vram_*`)."""

from pathlib import Path

from obeaver.monitor import sysfs
from obeaver.monitor.device import DeviceMemory


def amd_gpu(drm: Path = sysfs.DRM) -> DeviceMemory | None:
    """The first one that tells of its memory.

    Args:
        drm: The folder of the graphics cards.
    """
    for card in sysfs.devices(drm, "card"):
        device = card / "device"
        total, used = sysfs.number(device / "mem_info_vram_total"), sysfs.number(device / "mem_info_vram_used")
        if total is not None and used is not None:
            return DeviceMemory(sysfs.text(device / "product_name") or "AMD GPU", total, used)
    return None
