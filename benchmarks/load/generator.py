"""Two ways to put a server under load.

An open loop sends each request at its own time, whatever became of those before. Latency counts from the time at which
the request was meant to be sent. So when a server stalls, every request of that time shows it.

A closed loop has so many clients; each sends its next request when the last answer is complete. A server that stalls
holds the clients up too, so that only one request of each client meets the stall and the others are never sent
("coordinated omission"). It measures throughput; percentiles of its latencies flatter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")
Send = Callable[[int], Awaitable[Answer]]
"""Sends request number n, returns when its answer is complete."""


class LoadFailed(Exception):
    """Requests failed; figures of this run would be meaningless."""


@dataclass(frozen=True, slots=True)
class Sent(Generic[Answer]):
    """One request. Times are the event loop's, in seconds.

    Attributes:
        intended_at: When it was meant to be sent.
        sent_at: When it was.
        ended_at: When its answer was complete.
        answer: What `send` returned.
    """

    intended_at: float
    sent_at: float
    ended_at: float
    answer: Answer

    @property
    def latency_s(self) -> float:
        """From the intended time to the whole answer."""
        return self.ended_at - self.intended_at


async def open_loop(arrivals: Sequence[float], send: Send[Answer]) -> list[Sent[Answer]]:
    """Send request n at `arrivals[n]` seconds from now.

    Raises:
        LoadFailed: A request raised; tells how many did, and the first reason.
    """
    clock = asyncio.get_running_loop().time
    start = clock()

    async def one(index: int, offset_s: float) -> Sent[Answer]:
        intended_at = start + offset_s
        await asyncio.sleep(max(0.0, intended_at - clock()))
        sent_at = clock()
        answer = await send(index)
        return Sent(intended_at, sent_at, clock(), answer)

    return await _all([one(index, offset_s) for index, offset_s in enumerate(arrivals)])


async def closed_loop(num_clients: int, count: int, send: Send[Answer]) -> list[Sent[Answer]]:
    """Send requests 0 to count-1, each client one after the other.

    Raises:
        LoadFailed: A request raised; tells how many clients had to stop, and the first reason.
    """
    clock = asyncio.get_running_loop().time
    numbers = iter(range(count))

    async def client() -> list[Sent[Answer]]:
        sent = []
        for index in numbers:
            sent_at = clock()
            answer = await send(index)
            sent.append(Sent(sent_at, sent_at, clock(), answer))
        return sent

    return [sent for each in await _all([client() for _ in range(num_clients)]) for sent in each]


Value = TypeVar("Value")


async def _all(calls: Sequence[Coroutine[Any, Any, Value]]) -> list[Value]:
    values: list[Value] = []
    errors: list[BaseException] = []
    for value in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(value, BaseException):
            errors.append(value)
        else:
            values.append(value)
    if errors:
        first = errors[0]
        if not isinstance(first, Exception):
            raise first
        raise LoadFailed(f"{len(errors)} of {len(calls)} failed; the first: {type(first).__name__}: {first}") from first
    return values
