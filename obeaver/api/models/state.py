"""What a handler is given: typed collaborators, nothing found by importing."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from obeaver.api.metrics.server import ServerMetrics
from obeaver.api.models.model_host import ModelHost
from obeaver.api.models.pulls import Pulls
from obeaver.archive.archive import Archive
from obeaver.models.catalog import CatalogEntry, load_catalog
from obeaver.models.library import ChatLibrary
from obeaver.monitor.monitor import Monitor
from obeaver.web.background import BackgroundWork
from obeaver.web.in_flight import InFlight
from obeaver.web.request_log import RequestLog
from obeaver.web.threads import started_threads
from obeaver.web.turns import Turns

T = TypeVar("T")

NUM_TEXT_THREADS = 2
"""One long prompt must not hold up another; more would take the engine's cores."""


def _text_threads() -> ThreadPoolExecutor:
    return started_threads(NUM_TEXT_THREADS, "obeaver-text")


def _random_hex() -> str:
    return secrets.token_hex(14)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiState:
    """The collaborators of all handlers.

    Attributes:
        models: Which models answer.
        library: Which models could be loaded.
        monitor: Memory of machine and process.
        metrics: What is counted.
        catalog: Models that can be had by name.
        pulls: Models that are fetched for clients.
        archive: Stored responses; None where nothing is stored.
        background: What goes on when its request has been answered.
        request_log: The latest requests.
        stream_keep_alive_s: Silence in a stream before a comment is sent.
        text_threads: Where long prompts are made; shut down by `close`.
        turns: In which short requests are prepared on the event loop.
        clock: Seconds since 1970.
        random_hex: Makes the random part of an answer's id.
    """

    models: ModelHost
    library: ChatLibrary
    monitor: Monitor
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    catalog: Mapping[str, CatalogEntry] = field(default_factory=load_catalog)
    pulls: Pulls = field(default_factory=Pulls)
    archive: Archive | None = None
    background: BackgroundWork = field(default_factory=lambda: BackgroundWork(InFlight()))
    request_log: RequestLog = field(default_factory=RequestLog)
    stream_keep_alive_s: float = 10.0
    text_threads: ThreadPoolExecutor = field(default_factory=_text_threads)
    turns: Turns = field(default_factory=Turns)
    clock: Callable[[], float] = time.time
    random_hex: Callable[[], str] = _random_hex

    async def in_text_thread(self, work: Callable[[], T]) -> T:
        """Do `work` off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.text_threads, work)

    def close(self) -> None:
        """Give the threads back; what runs in them ends by itself."""
        self.text_threads.shutdown(wait=False, cancel_futures=True)
