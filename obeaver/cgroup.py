"""Limits that Linux puts on a group of processes, such as a container's: processors and memory.

Version 2 has `cpu.max` and `memory.max`, version 1 `cpu.cfs_quota_us`, `cpu.cfs_period_us` and `memory.limit_in_bytes`
(kernel documentation, "Control Group v2" and "Memory Resource Controller"). A limit of a group holds for the groups in
it, so the smallest from this process's group up to the root counts. Other systems have no such files, and so no limit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
# Version 1 writes the largest number of pages where there is no limit.
_NO_LIMIT: Final = 1 << 60


def processor_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Processors that the group may use at once; None without a limit."""
    limits = []
    for folder in _groups(root, membership, "cpu"):
        quota, period = (_words(folder / "cpu.max") + [""] * 2)[:2]
        if not quota:
            quota, period = ("".join(_words(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit_bytes(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Memory that the group may use; None without a limit."""
    limits = []
    for folder in _groups(root, membership, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            found = "".join(_words(folder / name))
            if found.isdecimal() and int(found) < _NO_LIMIT:
                limits.append(int(found))
    return min(limits, default=None)


def _groups(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's groups and of those around them, of both versions, where they can be seen."""
    yield root
    yield root / controller
    for line in _lines(membership):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        place = Path(group.strip("/"))
        for part in (place, *place.parents):
            if ".." not in part.parts and part.parts:
                yield top / part


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
