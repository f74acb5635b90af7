"""How many threads a model computes with."""

import os
from typing import Final

import psutil

TELEMETRY_OFF: Final = {"ORT_DISABLE_TELEMETRY": "1"}
"""Environment that both runtimes read when they are first imported; without it they report to their maker."""


def default_threads() -> int:
    """Physical cores that this process may use: a second thread on a core shares its vector units and gains nothing."""
    physical = psutil.cpu_count(logical=False) or 1
    return max(1, min(physical, _usable_processors()))


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
