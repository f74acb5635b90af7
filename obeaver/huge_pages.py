"""Memory that is read as a whole again and again, in huge pages: weights.

A step reads all weights of a model. In pages of 4 kB, those of SmolLM2-135M have 40,000 of them, more than a processor
remembers the places of, so that it looks up each on the way; there are 80 pages of 2 MB. Linux puts memory together on
request since 6.1 (`MADV_COLLAPSE` of `man madvise`). Elsewhere nothing happens.
"""

import contextlib
import ctypes
import mmap
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_REGIONS: Final = Path("/proc/self/maps")
_SETTING: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_NEVER: Final = "[never]"
_COLLAPSE: Final = 25
_PAGE: Final = 2 << 20
_LARGE: Final = 2 * _PAGE

# Anonymous and private: of no file, and readable and writable by this process alone.
_REGION: Final = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *(?:\[heap\])?$", re.MULTILINE)

_one_at_a_time = threading.Lock()


def use_soon() -> None:
    """Put large memory together in a thread of its own, which ends by itself; it takes seconds for gigabytes."""
    if is_wanted():
        threading.Thread(target=put_together, name="huge pages", daemon=True).start()


def is_wanted() -> bool:
    """Whether the system can, and its operator has not said never."""
    try:
        return sys.platform == "linux" and _NEVER not in _SETTING.read_text()
    except OSError:
        return False


def put_together() -> None:
    """Put large memory of this process together that is in use as a whole. Its contents stay as they are."""
    with _one_at_a_time, contextlib.suppress(OSError):  # nothing tells of the regions
        libc = ctypes.CDLL(None)
        for region in large_regions(_REGIONS.read_text()):
            # Page by page: others can touch and map memory in between. What is refused or gone stays as it is.
            for start in range(region.start, region.stop, _PAGE):
                # What is put together is filled up: a stack, say, would grow to its full size.
                if _is_full(libc, start):
                    libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(_PAGE), _COLLAPSE)


def large_regions(maps: str) -> Iterator[range]:
    """Addresses of large regions that a process has to itself, from one huge page's edge to another's.

    Args:
        maps: The regions of a process, as Linux tells them (`man proc_pid_maps`).
    """
    for match in _REGION.finditer(maps):
        first, last = -(-int(match[1], 16) // _PAGE) * _PAGE, int(match[2], 16) // _PAGE * _PAGE
        if last - first >= _LARGE:
            yield range(first, last)


def _is_full(libc: ctypes.CDLL, start: int) -> bool:
    """Whether all of a huge page's memory is there already."""
    is_there = (ctypes.c_ubyte * (_PAGE // mmap.PAGESIZE))()
    if libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(_PAGE), is_there) != 0:
        return False
    return all(each & 1 for each in is_there)
