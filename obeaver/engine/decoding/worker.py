"""The boundary between the event loop and the engine: one thread for each loaded model.

    event loop                                 engine thread
    submit, abort, pause, close ── inbox ──>   between two steps: take all that came; then core.step()
    sinks  <──── one call_soon_threadsafe ──   all rows of a step together

The loop's side owns the open streams and their sinks, the thread's side owns the core: neither touches the other's, so
there is no lock. A thread without work blocks on its inbox. Sinks are called and not awaited, so a slow reader never
costs a step; who has much that is not read pauses his sequence.
"""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from obeaver.engine.decoding import sequence as engine
from obeaver.engine.decoding.core import EngineCore
from obeaver.engine.decoding.live import EngineSnapshot, LiveSequences, live_sequences
from obeaver.engine.decoding.plan import Ended, StepOutcome
from obeaver.engine.decoding.sequence import Finished, FinishReason, SequenceId
from obeaver.engine.decoding.stats import EngineStats
from obeaver.engine.decoding.thread import Abort, EngineFacts, EngineThread, Message, Pause, Resume
from obeaver.engine.decoding.timeline import UNMEASURED, Meter, StepSpan, Stopwatch, Timeline
from obeaver.engine.owner_thread import Stop
from obeaver.engine.prefix_disk.prefix_disk import DiskStats
from obeaver.engine.sampling.sampled_token import SampledToken
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.engine.sessions.placement import Placement
from obeaver.errors import ApiError, BadRequest, EngineFailed, QueueFull, Unavailable

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 60
"""Nobody is told to stay away longer than this."""


class TokenSink(Protocol):
    """Where a sequence's tokens go. Called on the event loop's thread.

    Exactly one of `on_finish` and `on_error` ends it, and nothing follows. A sink that raises is logged, gets nothing
    more, and its sequence is aborted.
    """

    def on_tokens(self, tokens: Sequence[SampledToken]) -> None:
        """New tokens, in order; at least one."""

    def on_finish(self, result: Finished) -> None:
        """The sequence is over."""

    def on_error(self, error: ApiError) -> None:
        """An error ended the sequence."""


class _State(Enum):
    NEW = "has not started"
    READY = "is ready"
    DRAINING = "is shutting down"
    FAILED = "has failed"
    CLOSED = "is closed"


class _Stream(NamedTuple):
    sink: TokenSink
    opened_at: float
    num_prompt: int
    timeline: Timeline


class EngineWorker:
    """Runs one engine in a thread. All methods belong to the event loop that called `start`.

    Args:
        make_core: Builds the core, which loads the model; called in the thread.
        max_queue: Streams that may be open beyond those that run together.
        max_queue_tokens: Tokens that the prompts of streams which wait may have together; 0 for any number.
        name: The thread's name.
        meter: Told how long things take.
        clock: Seconds, monotonic; for the meter.
    """

    _loop: asyncio.AbstractEventLoop
    _built: asyncio.Future[EngineFacts]

    def __init__(
        self,
        make_core: Callable[[], EngineCore],
        *,
        max_queue: int,
        name: str,
        max_queue_tokens: int = 0,
        meter: Meter = UNMEASURED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_core = make_core
        self._max_queue = max_queue
        self._max_queue_tokens = max_queue_tokens
        self._name = name
        self._stopwatch = Stopwatch(meter, clock)
        self._clock = clock
        self._state = _State.NEW
        self._inbox: SimpleQueue[Message | Stop] = SimpleQueue()
        self._ids = itertools.count(1)
        self._streams: dict[SequenceId, _Stream] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._gone: asyncio.Future[None] | None = None
        self._thread: EngineThread | None = None
        self._facts: EngineFacts | None = None
        self._stats = EngineStats()
        self._mean_duration_s = 1.0

    async def start(self) -> None:
        """Build the core in the thread; the loop stays free meanwhile.

        Raises:
            Exception: Whatever building it raised.
        """
        if self._state is not _State.NEW:
            raise RuntimeError(f"the engine {self._state.value}")
        self._loop = asyncio.get_running_loop()
        self._built = self._loop.create_future()
        self._gone = self._loop.create_future()
        self._state = _State.CLOSED  # until it is built: a start that fails or is cancelled leaves nothing to use
        self._thread = EngineThread(self._make_core, self._inbox, self._loop, self, self._clock)
        self._thread.start(self._name)
        try:
            self._facts = await self._built
        except asyncio.CancelledError:
            self._inbox.put(Stop())
            raise
        self._stats = self._facts.stats
        self._state = _State.READY

    def submit(self, prompt_ids: Sequence[int], params: SamplingParams, sink: TokenSink) -> SequenceId:
        """Queue a sequence; its tokens go to `sink`.

        Raises:
            BadRequest: The prompt is empty, or log-probabilities of it are asked for and the runner has none.
            ContextLengthExceeded: Prompt and answer can never fit together; see `room_for`.
            QueueFull: Too many streams are open.
            Unavailable: The engine is not ready, shutting down, or has failed.
        """
        facts = self._ready()
        if not prompt_ids:
            raise BadRequest("The prompt has no tokens.")
        if params.num_prompt_logprobs is not None and not facts.gives_all_logits:
            raise BadRequest("This model's runner gives no log-probabilities of the prompt.", code="unsupported_value")
        facts.admission.check(len(prompt_ids), params.max_tokens)
        self.refuse_when_full()
        self._refuse_tokens(facts, len(prompt_ids))
        sequence = engine.Sequence(next(self._ids), tuple(prompt_ids), params)
        timeline = self._stopwatch.open(len(prompt_ids), params.max_tokens)
        self._streams[sequence.id] = _Stream(sink, self._loop.time(), len(prompt_ids), timeline)
        self._idle.clear()
        self._inbox.put(sequence)
        return sequence.id

    def refuse_when_full(self) -> None:
        """See that another stream may be opened, before any work is done for it. May be called from any thread.

        Raises:
            QueueFull: Too many streams are open.
            Unavailable: The engine is not ready, shutting down, or has failed.
        """
        facts = self._ready()
        if len(self._streams) >= facts.admission.max_rows + self._max_queue:
            raise QueueFull("Too many requests are waiting; try again later.", retry_after_s=self._retry_after_s(facts))

    def _refuse_tokens(self, facts: EngineFacts, num_prompt: int) -> None:
        """One prompt may always wait, however long it is."""
        if not self._max_queue_tokens:
            return
        waiting = self.sequences()
        if waiting.num_waiting and waiting.waiting_tokens + num_prompt > self._max_queue_tokens:
            raise QueueFull(
                "The requests that wait have too many tokens; try again later.",
                retry_after_s=self._retry_after_s(facts),
            )

    def room_for(self, num_prompt: int) -> int:
        """Tokens of answer that context and memory leave to a prompt of this length; not positive: it never fits.

        Raises:
            Unavailable: The engine is not ready, shutting down, or has failed.
        """
        return self._ready().admission.room_for(num_prompt)

    def abort(self, sequence_id: SequenceId, *, is_enough: bool = False) -> None:
        """End a sequence within one step; its sink hears `on_finish` with ABORTED. Ids that are gone are ignored.

        Args:
            sequence_id: As `submit` gave it.
            is_enough: The answer is whole, as after a stop string; only the meter hears of it.
        """
        if sequence_id in self._streams:
            self._streams[sequence_id].timeline.is_enough = is_enough
            self._inbox.put(Abort(sequence_id))

    def pause(self, sequence_id: SequenceId) -> bool:
        """Let a sequence stand still, and give its row to others, until `resume`; whether this engine can do that.

        Its tokens do not depend on it. Ids that are gone are ignored.
        """
        if self._facts is None or not self._facts.can_pause:
            return False
        if sequence_id in self._streams:
            self._inbox.put(Pause(sequence_id))
        return True

    def resume(self, sequence_id: SequenceId) -> None:
        """Let a sequence go on. Ids that are gone are ignored."""
        if sequence_id in self._streams:
            self._inbox.put(Resume(sequence_id))

    def snapshot(self) -> EngineSnapshot:
        """How things stand."""
        facts, stats = self._facts, self._stats
        return EngineSnapshot(
            healthy=self._state in {_State.READY, _State.DRAINING},
            label=facts.label if facts else "",
            placement=facts.placement if facts else Placement(),
            num_running=stats.num_running,
            num_waiting=max(0, len(self._streams) - stats.num_running - stats.num_paused),
            num_paused=stats.num_paused,
            max_rows=facts.admission.max_rows if facts else 0,
            kv_budget_bytes=facts.kv_budget_bytes if facts else 0,
            kv_used_bytes=stats.kv_used_bytes,
            prefix_budget_bytes=facts.prefix_budget_bytes if facts else 0,
            prefix_cache_bytes=stats.prefix_cache_bytes,
            prefix_cache_entries=stats.prefix_cache_entries,
            disk=facts.disk.stats() if facts and facts.disk else DiskStats(),
            totals=stats.totals,
        )

    def sequences(self) -> LiveSequences:
        """Each sequence that is being computed, and what waits."""
        return live_sequences(self._stats.running, self._streams, self._loop.time())

    def num_cached(self, sequence_id: SequenceId) -> int:
        """Prompt tokens of a running sequence that were not computed for it; 0 where it does not run."""
        return next((running.num_cached for running in self._stats.running if running.id == sequence_id), 0)

    @property
    def is_idle(self) -> bool:
        """Whether no stream is open."""
        return not self._streams

    async def idle(self) -> None:
        """Return as soon as no stream is open; the next one may come at once."""
        await self._idle.wait()

    async def gone(self) -> bool:
        """Return when the thread has ended and the model is given back; whether it failed."""
        if self._gone is not None:
            await asyncio.shield(self._gone)
        return self._state is _State.FAILED

    async def drain(self, timeout_s: float) -> None:
        """Take no more sequences; wait for those under way, and after `timeout_s` abort them."""
        if self._state is _State.READY:
            self._state = _State.DRAINING
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            for sequence_id in self._streams:
                self.abort(sequence_id)
            await self._idle.wait()

    async def close(self, reason: ApiError | None = None) -> None:
        """End the thread at the step's edge and give the model back. Idempotent.

        Args:
            reason: What open streams are told; that the server is shutting down, if nothing else is said.
        """
        if self._state is not _State.FAILED:
            self._state = _State.CLOSED
        self._fail_streams(reason or Unavailable("The server is shutting down."))
        self._inbox.put(Stop())
        if self._gone is not None:
            await asyncio.shield(self._gone)
        if self._thread is not None:
            self._thread.join()
            self._thread = None  # it knows this worker: the two would keep each other, and the model's text side

    def on_built(self, facts: EngineFacts) -> None:
        """The thread has loaded the model."""
        if not self._built.done():
            self._built.set_result(facts)

    def on_build_failed(self, error: Exception) -> None:
        """The thread could not load the model."""
        if not self._built.done():
            self._built.set_exception(error)

    def on_step(self, outcome: StepOutcome, stats: EngineStats, span: StepSpan) -> None:
        """A step was made: hand out its tokens, then its ends."""
        step = self._stopwatch.step(span, stats.totals.since(self._stats.totals))
        self._stats = stats
        for sequence in stats.running:
            if sequence.id in self._streams:
                step.begin(self._streams[sequence.id].timeline)
        for sequence_id, token in outcome.advanced:
            stream = self._streams.get(sequence_id)
            if stream is None:
                continue
            step.token(stream.timeline)
            if not self._tell(sequence_id, stream.sink.on_tokens, (token,)):
                self._forget(sequence_id)
                self._stopwatch.end(stream.timeline, FinishReason.FAILED)
                self._inbox.put(Abort(sequence_id))
        for ended in outcome.ended:
            self._end(ended)

    def on_crash(self) -> None:
        """The thread died: nobody is left waiting."""
        self._state = _State.FAILED
        self._stats = replace(self._stats, running=(), num_waiting=0)
        self._fail_streams(EngineFailed("The engine has failed; the server must be restarted."))

    def on_gone(self) -> None:
        """The thread's last word."""
        if self._gone is not None:
            self._gone.set_result(None)

    def _ready(self) -> EngineFacts:
        if self._state is not _State.READY or self._facts is None:
            raise Unavailable(f"The engine {self._state.value}.")
        return self._facts

    def _end(self, ended: Ended) -> None:
        stream = self._forget(ended.sequence_id)
        if stream is None:
            return
        result = ended.result
        self._stopwatch.end(stream.timeline, FinishReason.FAILED if isinstance(result, ApiError) else result.reason)
        if isinstance(ended.result, ApiError):
            self._tell(ended.sequence_id, stream.sink.on_error, ended.result)
            return
        self._mean_duration_s += 0.2 * (self._loop.time() - stream.opened_at - self._mean_duration_s)
        self._tell(ended.sequence_id, stream.sink.on_finish, ended.result)

    def _fail_streams(self, error: ApiError) -> None:
        for sequence_id in tuple(self._streams):
            self._end(Ended(sequence_id, error))

    def _forget(self, sequence_id: SequenceId) -> _Stream | None:
        stream = self._streams.pop(sequence_id, None)
        if not self._streams:
            self._idle.set()
        return stream

    def _tell(self, sequence_id: SequenceId, call: Callable[[Any], None], argument: object) -> bool:
        """Call a sink; whether it took it."""
        try:
            call(argument)
        except Exception:
            logger.exception("the sink of sequence %d raised; it gets nothing more", sequence_id)
            return False
        return True

    def _retry_after_s(self, facts: EngineFacts) -> int:
        """When a place should be free: running streams end one after the other, `max_rows` in a stream's usual time."""
        expected_s = math.ceil(self._mean_duration_s / facts.admission.max_rows)
        return min(max(1, expected_s), MAX_RETRY_AFTER_S)
