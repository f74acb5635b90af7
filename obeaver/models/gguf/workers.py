"""Threads that compute pieces of matrices beside each other: numpy releases the interpreter lock while it computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A few threads, while the `with` block lasts; outside of one, and with one thread, the caller's own.

    Args:
        num_threads: At least 1.
    """

    def __init__(self, num_threads: int = 1) -> None:
        self.num_threads = num_threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.num_threads > 1:
            self._pool = ThreadPoolExecutor(self.num_threads, "import")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items. No more than two a thread wait to be taken, so they may be large."""
        pool = self._pool
        if pool is None:
            yield from map(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * self.num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
