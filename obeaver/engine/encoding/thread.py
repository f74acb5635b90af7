"""The encoder's thread: owns the session and the queue of texts."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np

from obeaver.engine import owner_thread
from obeaver.engine.encoding.batches import BatchItem, BatchLimits, BatchQueue, TokenisedText
from obeaver.engine.encoding.meter import BatchWork
from obeaver.engine.encoding.pooling import FloatArray
from obeaver.engine.owner_thread import OwnerThread, Stop
from obeaver.engine.sessions.placement import Placement

logger = logging.getLogger(__name__)


class Encoder(Protocol):
    """What the thread computes with; `EmbeddingSession` is the one."""

    @property
    def label(self) -> str:
        """What runs the model, for people."""

    @property
    def placement(self) -> Placement:
        """Which execution provider computes, and how much of the model."""

    @property
    def limits(self) -> BatchLimits:
        """How large a batch may be."""

    @property
    def size(self) -> int:
        """Numbers in a row."""

    def compute(self, texts: Sequence[TokenisedText]) -> FloatArray:
        """One row a text."""


class EncoderShape(NamedTuple):
    """What the other side may know of an encoder that was loaded."""

    label: str
    size: int
    placement: Placement


class Submit(NamedTuple):
    """Compute these texts."""

    request_id: int
    texts: Sequence[TokenisedText]


class Drop(NamedTuple):
    """Nobody waits for this request any more."""

    request_id: int


Message = Submit | Drop
"""What the inbox takes."""


class Listener(owner_thread.Listener, Protocol):
    """Who hears of the thread."""

    def on_built(self, shape: EncoderShape) -> None:
        """The model is loaded."""

    def on_batch(self, work: BatchWork, complete: Sequence[tuple[int, FloatArray]]) -> None:
        """A batch was computed, and with it these requests are complete: [texts, size] for each request id."""

    def on_failed(self, request_ids: Sequence[int], num_texts: int) -> None:
        """A batch failed, and with it the requests that had a text in it."""


class _Parts:
    """The rows of one request while they come in."""

    def __init__(self, num_texts: int) -> None:
        self._missing = num_texts
        self._rows: list[FloatArray | None] = [None] * num_texts

    def put(self, index: int, row: FloatArray) -> bool:
        """Whether this was the last one."""
        self._rows[index] = row
        self._missing -= 1
        return not self._missing

    def values(self) -> FloatArray:
        return np.stack([row for row in self._rows if row is not None])


class EncoderThread(OwnerThread[Encoder, Message]):
    """Owns an encoder, and computes batches while texts wait.

    Args:
        make_encoder: Called in the thread.
        inbox: Read between two batches.
        loop: Where `listener` is called.
        listener: Hears what happens.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        inbox: SimpleQueue[Message | Stop],
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(make_encoder, inbox, loop, listener)
        self._listener = listener
        self._clock = clock
        self._parts: dict[int, _Parts] = {}

    def _serve(self, encoder: Encoder) -> None:
        queue = BatchQueue(encoder.limits)

        def take(message: Message) -> None:
            if isinstance(message, Drop):
                self._forget(queue, [message.request_id])
            else:
                self._parts[message.request_id] = _Parts(len(message.texts))
                queue.add(message.request_id, message.texts)

        self._post(self._listener.on_built, EncoderShape(encoder.label, encoder.size, encoder.placement))
        while self._take_messages(take, wait=not queue):
            if queue:
                self._compute(encoder, queue)

    def _give_back(self, _encoder: Encoder) -> None:
        """Its session ends with the last reference to it."""

    def _compute(self, encoder: Encoder, queue: BatchQueue) -> None:
        batch = queue.next_batch()
        started_s = self._clock()
        try:
            rows = encoder.compute([item.text for item in batch])
        except Exception:
            logger.exception("a batch of %d texts failed", len(batch))
            request_ids = list({item.request_id for item in batch})
            self._forget(queue, request_ids)
            self._post(self._listener.on_failed, request_ids, len(batch))
            return
        num_tokens = sum(len(item.text.ids) for item in batch)
        work = BatchWork(len(batch), num_tokens, self._clock() - started_s)
        # One call for all: each one wakes the loop, which then fights with this thread for the interpreter.
        self._post(self._listener.on_batch, work, list(self._complete(batch, rows)))

    def _complete(self, batch: Sequence[BatchItem], rows: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        for item, row in zip(batch, rows, strict=True):
            if self._parts[item.request_id].put(item.place, row):
                yield item.request_id, self._parts.pop(item.request_id).values()

    def _forget(self, queue: BatchQueue, request_ids: Sequence[int]) -> None:
        queue.drop(request_ids)
        for request_id in request_ids:
            self._parts.pop(request_id, None)
