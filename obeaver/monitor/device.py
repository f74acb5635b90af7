"""One device, as whoever knows it tells of it."""

from typing import NamedTuple

MIB = 1024 * 1024


class DeviceMemory(NamedTuple):
    """A device that is there.

    Attributes:
        label: Its name, for people.
        total: Bytes of its memory; None where nothing tells, or where it has none of its own.
        used: Bytes in use; None where nothing tells.
    """

    label: str
    total: int | None
    used: int | None

    @property
    def tells_memory(self) -> bool:
        """Whether both figures are known."""
        return self.total is not None and self.used is not None
