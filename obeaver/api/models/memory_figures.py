"""Bytes as `/api/models/…` tells them."""

from obeaver.api.contract import wire
from obeaver.api.models.model_host import MemoryRoom

_MIB = 1024 * 1024


def mib(num_bytes: int) -> float:
    """In MiB, to a tenth."""
    return round(num_bytes / _MIB, 1)


def memory_object(memory: MemoryRoom) -> wire.Object:
    """Memory for models."""
    return {"free_mb": mib(max(0, memory.free_bytes)), "total_mb": mib(memory.total_bytes)}
