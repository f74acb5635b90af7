"""Pools of threads that are there from the start."""

import threading

import pytest

from obeaver.web.threads import started_threads


def _named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_all_threads_are_there_before_any_work() -> None:
    pool = started_threads(5, "test-started")
    try:
        assert len(_named("test-started")) == 5
        assert list(pool.map(lambda number: number + 1, range(20))) == list(range(1, 21))
        assert len(_named("test-started")) == 5
    finally:
        pool.shutdown()
    assert _named("test-started") == []


def test_a_limit_of_threads_is_met_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, iter(range(3))

    def limited(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        started_threads(5, "test-limited")
    assert _named("test-limited") == []
