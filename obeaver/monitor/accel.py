"""NPUs, by Linux's class for compute accelerators. Source: kernel documentation, "Compute Accelerators" (`accelN`).

They compute in the machine's main memory. Intel's driver tells how much of it (`npu_memory_utilization`, bytes).
"""

from pathlib import Path

from obeaver.monitor import sysfs
from obeaver.monitor.device import DeviceMemory

NAMES = {"intel_vpu": "Intel NPU", "amdxdna": "AMD NPU", "qaic": "Qualcomm Cloud AI", "rocket": "Rockchip NPU"}
"""What people call the devices of a driver."""


def linux_npu(accel: Path = sysfs.ACCEL) -> DeviceMemory | None:
    """The first one.

    Args:
        accel: The class's folder.
    """
    for entry in sysfs.devices(accel, "accel"):
        driver = sysfs.driver(entry / "device")
        used = sysfs.number(entry / "device" / "npu_memory_utilization")
        return DeviceMemory(NAMES.get(driver, driver or "NPU"), None, used)
    return None
