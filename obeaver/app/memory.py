"""Memory of models: what one will need, what there is, and giving back what was freed."""

import ctypes
from collections.abc import Callable
from typing import Final

import psutil

from obeaver.config import Settings
from obeaver.errors import NotEnoughMemory
from obeaver.models.facts import ModelFacts

MB: Final = 1_000_000

WEIGHTS_FACTOR: Final = 1.4
"""Bytes of a loaded model for each byte of its files: 1.2 to 1.3 were measured (tokenizer, grammars, weights that the
runtime lays out anew), and a little is for what is computed."""

_MIN_TOKENS: Final = 2048
"""Keys and values of so many tokens must have room, where the budget for them follows from what is free."""

_MAX_SHARE: Final = 4
"""One part in so many of the free memory is the keys' and values' where no budget is set."""


def needed_bytes(facts: ModelFacts, settings: Settings) -> int:
    """What loading a model takes: its weights, and its keys and values as far as they must have room."""
    kv_bytes = settings.kv_cache_mb * MB
    if not kv_bytes:
        kv_bytes = min(facts.context_length, _MIN_TOKENS) * (facts.kv_bytes_per_token or 0)
    return int(facts.size_bytes * WEIGHTS_FACTOR) + kv_bytes


def available_bytes() -> int:
    """What the operating system would give to a process without swapping."""
    return int(psutil.virtual_memory().available)


def kv_budget_bytes(settings: Settings) -> int:
    """Bytes that keys and values of one model may take."""
    return settings.kv_cache_mb * MB or available_bytes() // _MAX_SHARE


def require_memory(needed: int, available: int) -> None:
    """See that a model fits.

    Raises:
        NotEnoughMemory: It does not; the message has both numbers.
    """
    if needed > available:
        raise NotEnoughMemory(
            f"it needs about {needed / MB:,.0f} MB of memory for weights, keys and values, "
            f"and {max(available, 0) / MB:,.0f} MB are free"
        )


def give_back() -> None:
    """Let the allocator return freed memory to the operating system, where it would keep it for later."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc's; other C libraries return memory by themselves, or have no way to ask for it."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: what Windows says to a library without a name
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda pad: int(trim(pad))
