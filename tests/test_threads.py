import os
import subprocess
import sys

import pytest

from obeaver.threads import Processors, default_threads, find_processors


def test_the_default_is_at_least_one_thread_and_no_more_than_the_processors() -> None:
    assert 1 <= default_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("processors", "num_threads"),
    [
        (Processors(cores=4, logical=8, usable=8, limit=None), 4),
        (Processors(cores=4, logical=8, usable=2, limit=None), 2),
        (Processors(cores=32, logical=64, usable=64, limit=2.0), 2),
        (Processors(cores=32, logical=64, usable=64, limit=2.5), 2),
        (Processors(cores=2, logical=2, usable=2, limit=0.5), 1),
        (Processors(cores=2, logical=2, usable=2, limit=16.0), 2),
    ],
)
def test_the_narrowest_of_cores_affinity_and_container_counts(processors: Processors, num_threads: int) -> None:
    assert processors.num_threads == num_threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity to set")
def test_a_process_on_one_processor_computes_with_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from obeaver.threads import find_processors as find; print(find().usable, find().num_threads)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1\n"
    assert find_processors().usable >= 1
