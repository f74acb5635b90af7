"""Pools of threads that are there from the start.

A pool by itself starts a thread whenever none is free, which may be after days: memory grows a last time, the count of
threads looks like a leak, and where a limit of processes is reached it is a request that fails, not the start.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def started_threads(num_threads: int, name: str) -> ThreadPoolExecutor:
    """A pool with all its threads running.

    Args:
        num_threads: How many.
        name: What their names begin with.

    Raises:
        RuntimeError: The operating system allows no more threads.
    """
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix=name)
    all_there = Barrier(num_threads)
    try:
        # None of them is free before the last one is there.
        for waiting in [pool.submit(all_there.wait) for _ in range(num_threads)]:
            waiting.result()
    except RuntimeError:
        all_there.abort()
        pool.shutdown()
        raise
    return pool
