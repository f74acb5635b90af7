"""Memory of models: what one will need, what there is, and giving back what was freed."""

import gc
import itertools
from typing import Final, Protocol

import psutil

from obeaver.allocator import trim
from obeaver.cgroup import memory_limit_bytes
from obeaver.config import Settings
from obeaver.errors import NotEnoughMemory

MB: Final = 1_000_000

WEIGHTS_FACTOR: Final = 1.4
"""Bytes of a loaded model for each byte of its files: 1.2 to 1.3 were measured (tokenizer, grammars, weights that the
runtime lays out anew), and a little is for what is computed."""

_MIN_TOKENS: Final = 2048
"""Keys and values of so many tokens must have room, where the budget for them follows from what is free."""

_MAX_SHARE: Final = 4
"""One part in so many of the free memory is the keys' and values' where no budget is set."""

_ALL_EVERY: Final = 8
_times: Final = itertools.count(1)


class Sized(Protocol):
    """What of a model says how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """Of its files."""

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of one token's keys and values; None where nothing tells."""


def needed_bytes(model: Sized, settings: Settings) -> int:
    """What loading a model takes: its weights, and its keys and values as far as they must have room."""
    kv_bytes = settings.kv_cache_mb * MB
    if not kv_bytes:
        kv_bytes = min(model.context_length, _MIN_TOKENS) * (model.kv_bytes_per_token or 0)
    return int(model.size_bytes * WEIGHTS_FACTOR) + kv_bytes


def available_bytes() -> int:
    """What this process could still take without swapping, and within its container's limit."""
    free = int(psutil.virtual_memory().available)
    limit = memory_limit_bytes()
    return free if limit is None else min(free, limit - int(psutil.Process().memory_info().rss))


def machine_bytes() -> int:
    """All the memory that this process could ever take: the machine's, or its container's limit."""
    total = int(psutil.virtual_memory().total)
    limit = memory_limit_bytes()
    return total if limit is None else min(total, limit)


def kv_budget_bytes(settings: Settings) -> int:
    """Bytes that keys and values of one model may take."""
    return settings.kv_cache_mb * MB or max(0, available_bytes()) // _MAX_SHARE


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


def settle() -> None:
    """What is there now stays: the collector need not look at it again.

    A look at all objects of a server that has loaded takes 50 ms, in which nothing else runs. Many objects that come
    and go with a long request would cause it again and again.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Free what only refers to itself, and let the allocator return freed memory to the operating system.

    What was there when things last settled is looked at every eighth time alone: that would stop the event loop for
    100 ms. Nobody has to look for what is large, since that holds itself nowhere; compiled chat templates do.
    """
    if next(_times) % _ALL_EVERY == 0:
        gc.unfreeze()
    settle()
    trim()
