"""The GPU of a Mac, by `system_profiler -json SPDisplaysDataType`.

It tells the name, and of a card its memory; a GPU in Apple's chips computes in main memory. What is in use is not told.
"""

import json
import platform
import re
import subprocess
from collections.abc import Callable
from typing import Any

from obeaver.monitor.device import MIB, DeviceMemory

COMMAND = ("/usr/sbin/system_profiler", "-json", "SPDisplaysDataType")
TIMEOUT_S = 10.0
_SIZE = re.compile(r"(\d+) (MB|GB)")


class MacGpu:
    """Asks once, since that takes a second and the answer stays.

    Args:
        run: The tool's output; None where there is none.
    """

    def __init__(self, run: Callable[[], str | None] | None = None) -> None:
        self._run = run or _system_profiler
        self._has_asked = False
        self._gpu: DeviceMemory | None = None

    def __call__(self) -> DeviceMemory | None:
        """The first GPU; None where there is none, or no macOS."""
        if not self._has_asked:
            self._gpu = _parsed(self._run())
            self._has_asked = True
        return self._gpu


def _parsed(output: str | None) -> DeviceMemory | None:
    try:
        displays: Any = json.loads(output or "{}").get("SPDisplaysDataType", [])
    except ValueError:
        return None
    return next(
        (DeviceMemory(item["sppci_model"], _memory(item), None) for item in displays if "sppci_model" in item), None
    )


def _memory(item: dict[str, Any]) -> int | None:
    size = _SIZE.fullmatch(str(item.get("spdisplays_vram", "")))
    return None if size is None else int(size[1]) * MIB * (1024 if size[2] == "GB" else 1)


def _system_profiler() -> str | None:
    if platform.system() != "Darwin":
        return None
    try:
        return subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
