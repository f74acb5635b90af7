"""GPUs and NPUs of Windows, out of the registry keys of their device setup classes.

Sources: Windows driver documentation, "System-Defined Device Setup Classes Available to Vendors" (Display,
ComputeAccelerator) and "Registering Hardware Information" (what a display driver says of its memory). What is in use is
not told there.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from obeaver.monitor.device import DeviceMemory

DISPLAY = "{4d36e968-e325-11ce-bfc1-08002be10318}"
COMPUTE_ACCELERATOR = "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}"
NAME, MEMORY = "DriverDesc", "HardwareInformation.qwMemorySize"
BASIC_DISPLAY = "Microsoft Basic"
"""How the adapters are called that stand in where there is no driver."""

ReadClass = Callable[[str], Iterable[Mapping[str, Any]]]
"""From a class's GUID to the values of its devices."""


def windows_gpu(read_class: ReadClass | None = None) -> DeviceMemory | None:
    """The adapter with the most memory of its own, else the first."""
    values = (read_class or registered)(DISPLAY)
    adapters = [DeviceMemory(str(item[NAME]), _memory(item), None) for item in values if NAME in item]
    real = [device for device in adapters if not device.label.startswith(BASIC_DISPLAY)]
    return max(real, key=lambda device: device.total or 0, default=None)


def windows_npu(read_class: ReadClass | None = None) -> DeviceMemory | None:
    """The first compute accelerator."""
    values = (read_class or registered)(COMPUTE_ACCELERATOR)
    return next((DeviceMemory(str(item[NAME]), None, None) for item in values if NAME in item), None)


def _memory(values: Mapping[str, Any]) -> int | None:
    memory = values.get(MEMORY)
    if isinstance(memory, bytes):  # as some drivers write it
        memory = int.from_bytes(memory[:8], "little")
    return memory if isinstance(memory, int) and memory > 0 else None


def registered(guid: str) -> list[Mapping[str, Any]]:
    """Name and memory of each device of a class; empty where there is no such class, or no Windows."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"SYSTEM\CurrentControlSet\Control\Class\{guid}") as group:
                names = [winreg.EnumKey(group, index) for index in range(winreg.QueryInfoKey(group)[0])]
                return [_values(group, name) for name in names]
        except OSError:
            """There is no such class."""
    return []


def _values(group: Any, name: str) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(group, name) as key:
                for wanted in (NAME, MEMORY):
                    values[wanted] = winreg.QueryValueEx(key, wanted)[0]
        except OSError:
            """Some keys are for the system alone, and some drivers tell no memory."""
    return values
