"""What the C library does with memory that is freed: keep it, or give it back to the operating system."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from typing import Final

LARGE_BLOCK_BYTES: Final = 1 << 20
"""A block of this size goes back to the operating system as soon as it is freed, once `keep_together` was called."""

# Options of glibc's malloc.h, and what it says of the most that may lie free behind all that is in use.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_TRIM_THRESHOLD_BYTES: Final = 128 << 10
_EVERYTHING: Final = 1 << 30


def keep_together() -> None:
    """Let all threads take memory from the same two places, so that what a model leaves behind can be given back.

    By default each thread gets its own, and a few live objects in each keep most of it: a process of 320 MB grew by up
    to 70 MB when its model was exchanged several times, and by about 10 MB so. To be called before there are threads.
    """
    _set(_M_ARENA_MAX, 2)
    _set_usual()


@contextlib.contextmanager
def keeping_freed() -> Iterator[None]:
    """Keep what is freed for the length of the block, for work that asks for as much again and again.

    Memory that comes from the operating system comes filled with zeros, page by page: an import spent a tenth of its
    time on that. What is kept is given back at the end.
    """
    _set(_M_MMAP_THRESHOLD, _EVERYTHING)
    _set(_M_TRIM_THRESHOLD, _EVERYTHING)
    try:
        yield
    finally:
        _set_usual()
        trim()


def trim() -> None:
    """Let the allocator return freed memory to the operating system; other threads run on meanwhile."""
    malloc_trim = _function_of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _set_usual() -> None:
    # Else glibc raises both with each large block that was freed, up to 32 MB, and keeps what is smaller.
    _set(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
    _set(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)


def _set(option: int, value: int) -> None:
    mallopt = _function_of_glibc("mallopt")
    if mallopt is not None:
        mallopt(option, value)


def _function_of_glibc(name: str) -> Callable[..., object] | None:
    """A function that other C libraries do not have: they return memory by themselves, or cannot be asked to."""
    try:
        function: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # TypeError: what Windows says to a library without a name
        return None
    return function
