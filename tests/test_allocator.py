"""What the C library does with memory that is freed."""

import os
import platform
import subprocess
import sys

import pytest

# Each array is 8 MB, so 2,048 pages; memory that was kept is not asked for again, page by page.
_SCRIPT = """
import contextlib, resource, sys
import numpy as np
from obeaver.allocator import keep_together, keeping_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_together()
def taken():
    before = faults()
    for _ in range(20):
        np.ones(1 << 20)
    return faults() - before

usual = taken()
with keeping_freed():
    kept = taken()
print(usual, kept, taken(), resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_memory_that_was_freed_is_kept_for_a_while_only() -> None:
    # Large pages would hide what is counted here.
    environ = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environ, capture_output=True, text=True, check=True)
    usual, kept, after, page = map(int, done.stdout.split())
    pages = (8 << 20) // page
    assert usual > 15 * pages
    assert kept < 3 * pages
    assert after > 15 * pages
