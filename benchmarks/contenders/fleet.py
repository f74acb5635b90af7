"""The servers of a run: started when the first question asks one of them, kept until the run ends."""

import contextlib
import json
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.conductor import ContenderFailed
from benchmarks.contenders.servers import Server
from benchmarks.load.chat_stream import stream_chat
from benchmarks.load.generator import closed_loop
from benchmarks.load.prompts import fresh_messages
from benchmarks.time_limit import TimeLimit

Start = Callable[[float], AbstractContextManager[Server]]
"""Takes how many seconds it may take."""
LONE, LONG = "a lone stream", "a long prompt"
WarmUp = Callable[[Server], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that can be started.

    Attributes:
        name: Unique in a run.
        start: Starts one.
        facts: What it is, for the results.
        is_fresh: Whether `start` starts a new process, and does not only find one that runs.
        asked: Of another contender with one thing changed: which questions this matters to, `LONE` or `LONG`.
        folder: Of the model, where it is obeaver.
    """

    name: str
    start: Start
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_fresh: bool = True
    asked: str = ""
    folder: Path | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is obeaver."""
        return self.folder is not None


class Fleet:
    """Contenders, and those of their servers that run.

    Args:
        contenders: In the order of their turns; ours first.
        limit: When servers have to be there, and warm.
        warm_up: Called with each server when it has started.
        on_start: Told what a started server is.
    """

    def __init__(
        self,
        contenders: list[Contender],
        limit: TimeLimit,
        warm_up: WarmUp,
        on_start: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.contenders = {contender.name: contender for contender in contenders}
        self._limit = limit
        self._warm_up = warm_up
        self._on_start = on_start
        self._stack = contextlib.ExitStack()
        self._running: dict[str, Server] = {}
        self._failed: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """In the order of their turns, without variants."""
        return [name for name, contender in self.contenders.items() if not contender.asked]

    def variants(self, asked: str) -> list[str]:
        """The contenders that are asked these questions only."""
        return [name for name, contender in self.contenders.items() if contender.asked == asked]

    def server(self, name: str) -> Server:
        """The running server of a contender.

        Raises:
            ContenderFailed: It did not start, now or before.
        """
        if name in self._failed:
            raise ContenderFailed(self._failed[name])
        if name not in self._running:
            contender = self.contenders[name]
            try:
                server = self._stack.enter_context(contender.start(self._limit.left_s))
                self._limit.run(self._warm_up(server))
            except Exception as error:
                self._failed[name] = str(error) or type(error).__name__
                raise
            self._running[name] = server
            self._on_start(name, {**contender.facts, **_told(server)})
        return self._running[name]

    def fresh(self, name: str) -> AbstractContextManager[Server]:
        """A server that has just been started and answered nothing yet.

        Raises:
            ContenderFailed: It was started by somebody else.
        """
        contender = self.contenders[name]
        if not contender.is_fresh:
            raise ContenderFailed("it was not started here")
        return contender.start(self._limit.left_s)


async def warm_up_chat(server: Server) -> None:
    """Answers of one stream, then of sixteen: buffers have grown, threads have run."""

    async def send(_: int) -> None:
        await stream_chat(server.url, fresh_messages(24), model=server.model, max_tokens=6)

    await closed_loop(1, 1, send)
    await closed_loop(16, 16, send)


def _told(server: Server) -> dict[str, Any]:
    """What an obeaver says about itself; nothing for others."""
    try:
        with urllib.request.urlopen(server.url + "/health", timeout=10) as answer:  # noqa: S310
            told = json.load(answer)
    except (OSError, ValueError):
        return {}
    return {key: told[key] for key in ("model", "engine", "version") if key in told} if isinstance(told, dict) else {}
