"""Group `conversation`: what people notice when they talk to a busy server. Each figure is a ratio on one server."""

import asyncio
import statistics
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from benchmarks.bench import Ask, Bench
from benchmarks.conductor import Question
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import StreamTrace, stream_chat
from benchmarks.load.generator import LoadFailed
from benchmarks.load.prompts import fresh_messages, next_turn
from benchmarks.questions.chat import streams
from benchmarks.results.document import Metric

_ARRIVALS_UNTIL_STEADY = 8


def questions(bench: Bench) -> Iterator[Question]:
    """The questions of the group."""
    for name, title, ratio, contenders in (
        ("second-turn", "first token of turn 2 after 1,500 tokens, against cold", _second_turn, None),
        ("newcomer", "first token of a newcomer among 7 streams, against alone", _newcomer, None),
        ("behind", "first token of a short prompt behind one of 3,900 tokens, against alone", _behind, None),
        # The usual gap is that of a stream alone, and shorter where its text repeats itself.
        ("stall", "longest gap while 2,000 tokens are admitted, against the usual", _stall, bench.lone),
    ):
        metric = Metric(f"{name}.ratio", title, "×", higher_is_better=False)
        yield bench.ask(name, "conversation", [metric], _as_figures(metric.id, ratio), contenders=contenders)


def _as_figures(metric_id: str, ratio: Callable[[Server], Coroutine[Any, Any, float]]) -> Ask:
    async def ask(server: Server) -> Mapping[str, float]:
        return {metric_id: await ratio(server)}

    return ask


async def _second_turn(server: Server) -> float:
    history = fresh_messages(1440)
    cold = await stream_chat(server.url, history, model=server.model, max_tokens=24)
    turn = next_turn(history, cold.text, "And what comes next?")
    second = await stream_chat(server.url, turn, model=server.model, max_tokens=2)
    return second.first_token_s / cold.first_token_s


async def _newcomer(server: Server) -> float:
    (alone,) = await streams(server, 1, 34, 2)
    others = [_Running(server, 192) for _ in range(7)]
    await asyncio.gather(*(other.steady() for other in others))
    (among,) = await streams(server, 1, 34, 2)
    ends = [(await other.task).arrivals[-1] for other in others]
    if min(ends) < among.arrivals[0]:
        raise LoadFailed("a stream ended before the newcomer was served")
    return among.first_token_s / alone.first_token_s


async def _behind(server: Server) -> float:
    (alone,) = await streams(server, 1, 34, 2)
    long = asyncio.create_task(streams(server, 1, 3870, 2))
    await asyncio.sleep(alone.first_token_s)  # it has begun
    (behind,) = await streams(server, 1, 34, 2)
    await long
    return behind.first_token_s / alone.first_token_s


async def _stall(server: Server) -> float:
    # The mean: tokens that were computed ahead arrive together, and the median of their gaps would say nothing.
    (alone,) = await streams(server, 1, 24, 96)
    running = _Running(server, 400)
    await running.steady()
    (admitted,) = await streams(server, 1, 1950, 8)  # of two tokens, neither need have text
    trace = await running.task
    # A server that computes the whole prompt first stalls the stream until then, and not longer.
    if trace.arrivals[-1] < admitted.arrivals[0]:
        raise LoadFailed("the stream ended before the prompt was read")
    return max(trace.gaps_s) / statistics.fmean(alone.gaps_s)


class _Running:
    """A stream that goes on beside what is measured."""

    def __init__(self, server: Server, num_tokens: int) -> None:
        self._num_arrivals = 0
        self._is_steady = asyncio.Event()
        call = stream_chat(
            server.url, fresh_messages(24), model=server.model, on_data=self._count, max_tokens=num_tokens
        )
        self.task: asyncio.Task[StreamTrace] = asyncio.create_task(call)

    def _count(self) -> None:
        self._num_arrivals += 1
        if self._num_arrivals >= _ARRIVALS_UNTIL_STEADY:
            self._is_steady.set()

    async def steady(self) -> None:
        """Until it has sent some tokens, or has ended."""
        waiting = asyncio.create_task(self._is_steady.wait())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._is_steady.is_set():
            await self.task
