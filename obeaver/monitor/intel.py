"""Intel GPUs under Linux's drivers i915 and xe.

xe tells of each tile's memory (`tileN/physical_vram_size_bytes`, which igt-gpu-tools tests), Intel's own build of i915
of the card's (`lmem_total_bytes`). Neither has a file for what is in use. A GPU in the processor has no memory of
its own.
"""

from pathlib import Path

from obeaver.monitor import sysfs
from obeaver.monitor.device import DeviceMemory

VENDOR = "0x8086"
_DRIVERS = frozenset({"i915", "xe"})


def intel_gpu(drm: Path = sysfs.DRM) -> DeviceMemory | None:
    """The one with the most memory of its own, else the first.

    Args:
        drm: The folder of the graphics cards.
    """
    cards = [card for card in sysfs.devices(drm, "card") if _is_intel(card / "device")]
    found = [DeviceMemory("Intel GPU", _total(card), None) for card in cards]
    return max(found, key=lambda device: device.total or 0, default=None)


def _is_intel(device: Path) -> bool:
    return sysfs.text(device / "vendor") == VENDOR and sysfs.driver(device) in _DRIVERS


def _total(card: Path) -> int | None:
    tiles = (sysfs.number(tile / "physical_vram_size_bytes") for tile in sysfs.devices(card / "device", "tile"))
    told = [num_bytes for num_bytes in tiles if num_bytes]
    return sum(told) if told else sysfs.number(card / "lmem_total_bytes")
