"""The boundary between the event loop and an encoder: one thread for each loaded model.

    event loop                                  encoder's thread
    compute (awaits), close  ──── inbox ────>   between two batches: take all that came; then compute one batch
    futures  <──── call_soon_threadsafe ─────   requests that are complete

The loop's side owns the open requests, the thread's side the session and the queue of texts: neither touches the
other's, so there is no lock. The number of requests and of tokens that wait is bounded; a caller that is cancelled
takes its texts with it at the next batch's edge.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from queue import SimpleQueue
from typing import Final, NamedTuple

import numpy as np

from obeaver.engine.encoding.batches import TokenisedText
from obeaver.engine.encoding.meter import UNMEASURED, BatchWork, EncoderMeter, Outcome
from obeaver.engine.encoding.pooling import FloatArray, normalised
from obeaver.engine.encoding.thread import Drop, Encoder, EncoderShape, EncoderThread, Message, Submit
from obeaver.engine.owner_thread import Stop
from obeaver.engine.sessions.placement import Placement
from obeaver.errors import ApiError, EngineFailed, QueueFull, Unavailable

MAX_WAITING_TOKENS: Final = 4_000_000
"""More is refused while anything waits: eight of the largest requests of the longest texts, an hour's work here."""
MAX_RETRY_AFTER_S: Final = 60


class Rows:
    """Results in the order of their texts.

    Args:
        values: [texts, size].
    """

    def __init__(self, values: FloatArray) -> None:
        self._values = values

    def first(self, dimensions: int) -> "Rows":
        """The first dimensions alone, brought back to length 1."""
        return Rows(normalised(np.ascontiguousarray(self._values[:, :dimensions])))

    def floats(self) -> list[list[float]]:
        """Each row as numbers."""
        rows: list[list[float]] = self._values.tolist()
        return rows

    def float32_bytes(self) -> list[bytes]:
        """Each row as little-endian float32."""
        return [row.tobytes() for row in self._values.astype("<f4", copy=False)]


@dataclass(frozen=True, slots=True)
class EncoderTotals:
    """Counters since the start.

    Attributes:
        requests: Requests answered.
        texts: Texts computed.
        tokens: Tokens of these texts.
        batches: Runs of the graph.
        failed: Texts whose run failed.
    """

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    batches: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class EncoderSnapshot:
    """What `/health` and `/metrics` read.

    Attributes:
        healthy: Whether requests are computed.
        label: What runs the model, for people.
        placement: Which execution provider computes, and how much of the model.
        num_requests: Requests that are not answered yet.
        waiting_tokens: Tokens of theirs, those being computed included.
        totals: Counters since the start.
    """

    healthy: bool
    label: str
    placement: Placement
    num_requests: int
    waiting_tokens: int
    totals: EncoderTotals


class _State(Enum):
    NEW = "has not started"
    READY = "is ready"
    CLOSED = "is closed"
    FAILED = "has failed"


class _Open(NamedTuple):
    future: asyncio.Future[Rows]
    num_tokens: int
    opened_at: float


class EncoderWorker:
    """Runs one encoder in a thread. All methods belong to the event loop that called `start`.

    Args:
        make_encoder: Loads the model; called in the thread.
        max_queue: Requests that may be open.
        name: The thread's name.
        meter: Told how long things take.
        clock: Seconds, monotonic; for the meter.
    """

    _loop: asyncio.AbstractEventLoop
    _built: asyncio.Future[EncoderShape]
    _gone: asyncio.Future[None]
    _thread: EncoderThread

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        *,
        max_queue: int,
        name: str,
        meter: EncoderMeter = UNMEASURED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_encoder = make_encoder
        self._max_queue = max_queue
        self._name = name
        self._meter = meter
        self._clock = clock
        self._state = _State.NEW
        self._shape = EncoderShape("", 0, Placement())
        self._inbox: SimpleQueue[Message | Stop] = SimpleQueue()
        self._ids = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._waiting_tokens = 0
        self._totals = EncoderTotals()
        self._mean_duration_s = 0.1

    async def start(self) -> None:
        """Load the model in the thread; the loop stays free meanwhile.

        Raises:
            Exception: Whatever loading it raised.
        """
        if self._state is not _State.NEW:
            raise RuntimeError(f"the encoder {self._state.value}")
        self._loop = asyncio.get_running_loop()
        self._built, self._gone = self._loop.create_future(), self._loop.create_future()
        self._state = _State.CLOSED  # until it is loaded: a start that fails leaves nothing to use
        self._thread = EncoderThread(self._make_encoder, self._inbox, self._loop, self, self._clock)
        self._thread.start(self._name)
        try:
            self._shape = await self._built
        except asyncio.CancelledError:
            self._inbox.put(Stop())
            raise
        self._state = _State.READY

    @property
    def size(self) -> int:
        """Numbers in a row; 0 before the start."""
        return self._shape.size

    async def compute(self, texts: Sequence[TokenisedText]) -> Rows:
        """The rows of some texts, in their order. Cancelling it takes them out of the queue.

        Raises:
            QueueFull: Too much waits already.
            Unavailable: The encoder is not ready, or was closed meanwhile.
            EngineFailed: The graph failed on one of the texts.
        """
        request_id = self._submit(texts)
        try:
            return await self._open[request_id].future
        finally:
            if self._forget(request_id):
                self._inbox.put(Drop(request_id))

    async def gone(self) -> bool:
        """Return when the thread has ended; whether it failed. To be called after the start."""
        await asyncio.shield(self._gone)
        return self._state is _State.FAILED

    def snapshot(self) -> EncoderSnapshot:
        """How things stand."""
        return EncoderSnapshot(
            healthy=self._state is _State.READY,
            label=self._shape.label,
            placement=self._shape.placement,
            num_requests=len(self._open),
            waiting_tokens=self._waiting_tokens,
            totals=self._totals,
        )

    async def close(self) -> None:
        """End the thread after its batch and give the model back; open requests get an error. Idempotent."""
        if self._state is _State.NEW:
            self._state = _State.CLOSED
            return
        if self._state is not _State.FAILED:
            self._state = _State.CLOSED
        self._fail_all(Unavailable("The server is shutting down."))
        self._inbox.put(Stop())
        await asyncio.shield(self._gone)
        self._thread.join()

    def on_built(self, shape: EncoderShape) -> None:
        """The thread has loaded the model."""
        if not self._built.done():
            self._built.set_result(shape)

    def on_build_failed(self, error: Exception) -> None:
        """The thread could not load the model."""
        if not self._built.done():
            self._built.set_exception(error)

    def on_batch(self, work: BatchWork, complete: Sequence[tuple[int, FloatArray]]) -> None:
        """A batch was computed: answer the requests that are complete with it."""
        self._meter.on_batch(work)
        num_answered = sum(self._answer(request_id, values) for request_id, values in complete)
        totals = self._totals
        self._totals = replace(
            totals,
            requests=totals.requests + num_answered,
            texts=totals.texts + work.num_texts,
            tokens=totals.tokens + work.num_tokens,
            batches=totals.batches + 1,
        )

    def on_failed(self, request_ids: Sequence[int], num_texts: int) -> None:
        """A batch failed, and with it the requests that had a text in it."""
        self._totals = replace(self._totals, failed=self._totals.failed + num_texts)
        self._meter.on_failed(num_texts)
        for request_id in request_ids:
            self._fail(request_id, EngineFailed("The model failed on this input."))

    def on_crash(self) -> None:
        """The thread died: nobody is left waiting."""
        self._state = _State.FAILED
        self._fail_all(EngineFailed("The engine has failed; the server must be restarted."))

    def on_gone(self) -> None:
        """The thread's last word."""
        self._gone.set_result(None)

    def _submit(self, texts: Sequence[TokenisedText]) -> int:
        if self._state is not _State.READY:
            raise Unavailable(f"The encoder {self._state.value}.")
        num_tokens = sum(len(text.ids) for text in texts)
        is_full = len(self._open) >= self._max_queue or self._waiting_tokens + num_tokens > MAX_WAITING_TOKENS
        if self._open and is_full:
            raise QueueFull("Too many requests are waiting; try again later.", retry_after_s=self._retry_after_s())
        request_id = next(self._ids)
        self._open[request_id] = _Open(self._loop.create_future(), num_tokens, self._loop.time())
        self._waiting_tokens += num_tokens
        self._inbox.put(Submit(request_id, texts))
        return request_id

    def _answer(self, request_id: int, values: FloatArray) -> bool:
        """Whether somebody still waits for it."""
        request = self._open.get(request_id)
        if request is None or request.future.done():
            return False
        self._mean_duration_s += 0.2 * (self._loop.time() - request.opened_at - self._mean_duration_s)
        self._settle(request_id, Outcome.ANSWERED)
        request.future.set_result(Rows(values))
        return True

    def _fail_all(self, error: ApiError) -> None:
        for request_id in tuple(self._open):
            self._fail(request_id, error)

    def _fail(self, request_id: int, error: ApiError) -> None:
        request = self._open.get(request_id)
        if request is not None and not request.future.done():
            self._settle(request_id, Outcome.FAILED)
            request.future.set_exception(error)

    def _settle(self, request_id: int, outcome: Outcome) -> None:
        """Nothing of the request waits any more."""
        request = self._open.pop(request_id)
        self._waiting_tokens -= request.num_tokens
        self._meter.on_end(outcome, self._loop.time() - request.opened_at)

    def _forget(self, request_id: int) -> bool:
        """True if the request was still open: its caller was cancelled."""
        if request_id not in self._open:
            return False
        self._settle(request_id, Outcome.ABORTED)
        return True

    def _retry_after_s(self) -> int:
        return min(max(1, math.ceil(self._mean_duration_s)), MAX_RETRY_AFTER_S)
