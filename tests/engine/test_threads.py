import os

from obeaver.engine.threads import default_threads


def test_the_default_is_at_least_one_thread_and_no_more_than_the_processors() -> None:
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
