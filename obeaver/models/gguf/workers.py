"""Threads that compute pieces of matrices beside each other: numpy releases the interpreter lock while it computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Handing work to a thread holds the interpreter lock for as long as a piece of a matrix is computed; but few large
# shares leave one thread waiting for the last.
_MOST_TOGETHER: Final = 16
_SHARES: Final = 4


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

    def start(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begin some work beside the caller's; gives what waits for its result. It must not wait for other work."""
        if self._pool is None:
            result = work()
            return lambda: result
        return self._pool.submit(work).result

    def start_many(self, work: Callable[[Item], None], items: Sequence[Item]) -> Callable[[], None]:
        """Begin some work on many items beside the caller's; gives what waits for its end."""
        waiting = [self.start(partial(_do_all, work, some)) for some in self._shares(items)]

        def wait() -> None:
            for each in waiting:
                each()

        return wait

    def map_many(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """As `map`, for items that take so little that several are handed to a thread together."""
        for results in self.map(lambda some: [work(item) for item in some], self._shares(items)):
            yield from results

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

    def _shares(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        size = max(1, min(_MOST_TOGETHER, len(items) // (_SHARES * self.num_threads)))
        return [items[start : start + size] for start in range(0, len(items), size)]


def _do_all(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    for item in items:
        work(item)
