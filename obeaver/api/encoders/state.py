"""What the handlers of the embedding server are given."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from obeaver.api.metrics.server import ServerMetrics
from obeaver.engine.encoding.worker import EncoderWorker
from obeaver.errors import ModelNotLoaded, Unavailable
from obeaver.models.encoder.layout import EncoderFacts
from obeaver.monitor.monitor import Monitor
from obeaver.text.tokenizer import Tokenizer
from obeaver.web.threads import started_threads

T = TypeVar("T")

INLINE_BYTES = 8192
"""A longer body is checked and tokenised in a thread: 8 KiB take about a millisecond, 1 MiB a quarter of a second."""
NUM_TEXT_THREADS = 2


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An embedding model or a reranker that answers.

    Attributes:
        name: What `/v1/models` calls it.
        facts: What its folder says.
        tokenizer: Its tokenizer.
        worker: Its engine, started.
        context_length: Longest text in tokens.
        loaded_at: Seconds since 1970.
    """

    name: str
    facts: EncoderFacts
    tokenizer: Tokenizer
    worker: EncoderWorker
    context_length: int
    loaded_at: float


@dataclass(slots=True)
class EncoderHost:
    """Holds the model that answers.

    Attributes:
        model: The model, None before it is loaded.
        draining: The server shuts down.
        restarting: The model's engine has failed, and will be there again.
    """

    model: LoadedEncoder | None = None
    draining: bool = False
    restarting: bool = False

    @property
    def served(self) -> Sequence[LoadedEncoder]:
        """The same, as a list of none or one."""
        return [] if self.model is None else [self.model]

    def current(self) -> LoadedEncoder:
        """The model that answers.

        Raises:
            Unavailable: It is not there yet, or not there again.
        """
        if self.restarting:
            raise Unavailable("The engine has failed and is being started anew.")
        if self.model is None:
            raise ModelNotLoaded("The model is still being loaded.")
        return self.model


def _text_threads() -> ThreadPoolExecutor:
    return started_threads(NUM_TEXT_THREADS, "obeaver-text")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedState:
    """The collaborators of all handlers.

    Attributes:
        models: The model that answers.
        monitor: Memory of machine and process.
        metrics: What is counted.
        text_threads: Where large bodies are read and written; shut down by `close`.
        clock: Seconds since 1970.
    """

    models: EncoderHost
    monitor: Monitor
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    text_threads: ThreadPoolExecutor = field(default_factory=_text_threads)
    clock: Callable[[], float] = time.time

    async def where_it_fits(self, work: Callable[[], T], *, num_bytes: int) -> T:
        """Do work over so many bytes: here if they are few, else off the event loop."""
        if num_bytes <= INLINE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.text_threads, work)

    def close(self) -> None:
        """Give the threads back; what runs in them ends by itself."""
        self.text_threads.shutdown(wait=False, cancel_futures=True)


PROMPTS_OF_TYPES: Mapping[str, Sequence[str]] = {
    "query": ("query", "search_query", "s2p_query"),
    "search_query": ("search_query", "query", "s2p_query"),
    "document": ("document", "passage", "search_document"),
    "passage": ("passage", "document", "search_document"),
    "search_document": ("search_document", "document", "passage"),
    "classification": ("classification", "Classification"),
    "clustering": ("clustering", "Clustering"),
}
"""What models call their prompt for a type of input, the likeliest first."""
