"""How many threads a model computes with."""

import os
from typing import NamedTuple

import psutil

from obeaver.cgroup import processor_limit


class Processors(NamedTuple):
    """What there is to compute on.

    Attributes:
        cores: Physical ones of the machine.
        logical: What the system counts, two for a core with two threads.
        usable: Of those, how many this process may run on (its affinity).
        limit: Processors' worth of time that a container grants; None without a limit.
    """

    cores: int
    logical: int
    usable: int
    limit: float | None

    @property
    def num_threads(self) -> int:
        """Threads that compute by default.

        A second thread on a core shares its vector units and gains nothing; threads above a container's limit are
        stopped for a part of each period, and the others wait for them.
        """
        granted = self.cores if self.limit is None else int(self.limit)
        return max(1, min(self.cores, self.usable, granted))


def find_processors() -> Processors:
    """Ask the system."""
    logical = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return Processors(psutil.cpu_count(logical=False) or logical, logical, usable, processor_limit())


def default_threads() -> int:
    """Threads that a model computes with unless told otherwise."""
    return find_processors().num_threads
