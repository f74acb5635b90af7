"""Linux's device files: one value a file. Source: kernel documentation, "sysfs"."""

import re
from collections.abc import Iterator
from pathlib import Path

DRM = Path("/sys/class/drm")
ACCEL = Path("/sys/class/accel")


def devices(folder: Path, name: str) -> Iterator[Path]:
    """The entries `name0`, `name1`, … of a class, in order; a card's connectors (`card0-DP-1`) are none of them."""
    found = ((re.fullmatch(rf"{name}(\d+)", path.name), path) for path in folder.glob(f"{name}*"))
    yield from (path for _, path in sorted((int(match[1]), path) for match, path in found if match))


def text(file: Path) -> str:
    """What a file says; "" where it is not there or cannot be read."""
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(file: Path) -> int | None:
    """The number in a file; None where there is none."""
    said = text(file)
    return int(said) if said.isascii() and said.isdecimal() else None


def driver(device: Path) -> str:
    """Name of the driver that a device is bound to; "" where it is to none."""
    try:
        return (device / "driver").resolve(strict=True).name
    except OSError:
        return ""
