"""Threads that share the work of an import."""

import threading

import pytest

from obeaver.models.gguf.workers import Workers


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 400])
def test_results_come_in_the_order_of_the_items(num_threads: int, count: int) -> None:
    squares = [number**2 for number in range(count)]
    done: list[int] = []
    with Workers(num_threads) as workers:
        assert list(workers.map(lambda number: number**2, range(count))) == squares
        assert list(workers.map_many(lambda number: number**2, range(count))) == squares
        workers.start_many(done.append, squares)()
        assert workers.start(lambda: count)() == count
    assert sorted(done) == squares


def test_work_goes_on_beside_the_caller() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        may_end.wait(60)
        return "done"

    with Workers(2) as workers:
        result = workers.start(work)
        assert begun.wait(60)
        may_end.set()
        assert [result(), result()] == ["done", "done"]


@pytest.mark.parametrize("num_threads", [1, 2])
def test_what_goes_wrong_is_told_to_who_waits(num_threads: int) -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    with Workers(num_threads) as workers, pytest.raises(ValueError, match="0"):
        workers.start_many(fail, range(9))()
