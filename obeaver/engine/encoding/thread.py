"""The encoder's thread: owns the session and the queue of texts; everything else reaches it through an inbox."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol, TypeVarTuple

import numpy as np

from obeaver.engine.encoding.batches import BatchItem, BatchLimits, BatchQueue, TokenisedText
from obeaver.engine.encoding.pooling import FloatArray
from obeaver.engine.sessions.placement import Placement

logger = logging.getLogger(__name__)

_Args = TypeVarTuple("_Args")


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


class Stop(NamedTuple):
    """End the thread at the next batch's edge."""


Message = Submit | Drop | Stop
"""What the inbox takes."""


class Listener(Protocol):
    """Who hears of the thread. Called on the event loop's thread; `on_gone` comes last, once, whatever happened."""

    def on_built(self, shape: EncoderShape) -> None:
        """The model is loaded."""

    def on_build_failed(self, error: Exception) -> None:
        """There is no model."""

    def on_batch(self, num_texts: int, num_tokens: int, complete: Sequence[tuple[int, FloatArray]]) -> None:
        """A batch was computed, and with it these requests are complete: [texts, size] for each request id."""

    def on_failed(self, request_ids: Sequence[int], num_texts: int) -> None:
        """A batch failed, and with it the requests that had a text in it."""

    def on_crash(self) -> None:
        """The thread failed; there will be no more batches."""

    def on_gone(self) -> None:
        """The model is given back and the thread ends."""


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


class EncoderThread:
    """Loads an encoder, computes batches while texts wait.

    Args:
        make_encoder: Called in the thread.
        inbox: Read between two batches; the thread blocks on it when there is no work.
        loop: Where `listener` is called.
        listener: Hears what happens.
    """

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        inbox: SimpleQueue[Message],
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
    ) -> None:
        self._make_encoder = make_encoder
        self._inbox = inbox
        self._loop = loop
        self._listener = listener
        self._parts: dict[int, _Parts] = {}

    def start(self, name: str) -> None:
        """Begin. A daemon, so that a run that hangs in native code cannot keep the process from ending."""
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its last instructions: `on_gone` is called while the thread still stands."""
        self._thread.join()

    def _main(self) -> None:
        try:
            encoder = self._make_encoder()
        except Exception as error:  # noqa: BLE001 - goes to whoever awaits the start
            self._post(self._listener.on_build_failed, error)
        else:
            self._live(encoder)
            # Before the last word: whoever hears it may count on the memory.
            del encoder
        self._post(self._listener.on_gone)

    def _live(self, encoder: Encoder) -> None:
        try:
            self._post(self._listener.on_built, EncoderShape(encoder.label, encoder.size, encoder.placement))
            queue = BatchQueue(encoder.limits)
            while self._take_messages(queue):
                if queue:
                    self._compute(encoder, queue)
        except Exception:
            logger.exception("the encoder's thread failed")
            self._post(self._listener.on_crash)

    def _take_messages(self, queue: BatchQueue) -> bool:
        """Take all that came; wait for something if there is no work. False: the thread shall end."""
        block = not queue
        while True:
            try:
                message = self._inbox.get(block)
            except Empty:
                return True
            block = False
            if isinstance(message, Stop):
                return False
            if isinstance(message, Drop):
                self._forget(queue, [message.request_id])
            else:
                self._parts[message.request_id] = _Parts(len(message.texts))
                queue.add(message.request_id, message.texts)

    def _compute(self, encoder: Encoder, queue: BatchQueue) -> None:
        batch = queue.next_batch()
        try:
            rows = encoder.compute([item.text for item in batch])
        except Exception:
            logger.exception("a batch of %d texts failed", len(batch))
            request_ids = list({item.request_id for item in batch})
            self._forget(queue, request_ids)
            self._post(self._listener.on_failed, request_ids, len(batch))
            return
        num_tokens = sum(len(item.text.ids) for item in batch)
        # One call for all: each one wakes the loop, which then fights with this thread for the interpreter.
        self._post(self._listener.on_batch, len(batch), num_tokens, list(self._complete(batch, rows)))

    def _complete(self, batch: Sequence[BatchItem], rows: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        for item, row in zip(batch, rows, strict=True):
            if self._parts[item.request_id].put(item.place, row):
                yield item.request_id, self._parts.pop(item.request_id).values()

    def _forget(self, queue: BatchQueue, request_ids: Sequence[int]) -> None:
        queue.drop(request_ids)
        for request_id in request_ids:
            self._parts.pop(request_id, None)

    def _post(self, callback: Callable[[*_Args], None], *args: *_Args) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed, and nobody is there to hear
            logger.debug("nobody hears of %s", callback)
