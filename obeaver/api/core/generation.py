"""From tokens to what a client reads: one `Generation` for a request, one `Choice` for each answer that it makes.

    worker ──tokens──> Choice ──TextStream──> outbox ──take()──> Generation ──batches──> chat.py

Text work is done when tokens arrive, on the event loop, and not when the client reads: else a client that stalls would
hide a stop string, and its row would compute on. What a slow client has not taken yet waits in the outbox, and goes out
in as few pieces as possible. The outbox has a bound: beyond it the sequence stands still, without a row, until the
client reads on. Where an engine cannot do that, an answer that waits far beyond the bound ends with an error.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from obeaver.api.core.logprobs import ContentLogprobs
from obeaver.api.core.outputs import AnswerEnd, Ended, Output, Piece, joined
from obeaver.api.core.usage import Timings, Usage
from obeaver.engine.decoding.sequence import Finished, FinishReason, SequenceId
from obeaver.engine.decoding.worker import EngineWorker
from obeaver.engine.sampling.sampled_token import SampledToken, TokenLogprobs
from obeaver.engine.sampling.sampling_params import SamplingParams
from obeaver.errors import ApiError, InternalError, Unavailable
from obeaver.text.events import ContentDelta, TextEvent
from obeaver.text.text_stream import TextStream

DEFAULT_UNSENT_BYTES: Final = 256_000
"""Some thousand tokens, or a hundred with 20 log-probabilities each."""

_PIECE_BYTES: Final = 250
_LOGPROB_BYTES: Final = 100
"""What a piece takes in memory, and a log-probability in an answer, about."""

_FAR_BEYOND: Final = 8

_FEW_PARTS: Final = 2_000
"""Tokens and log-probabilities that are worded on the event loop: some milliseconds."""


class Choice:
    """One answer in the making: a `TokenSink`.

    Args:
        index: Which choice of the request.
        worker: Whose sequence it is.
        text: Turns its tokens into events.
        logprobs: Where log-probabilities wait for their text.
        changed: Called when there is something to take.
        now_ns: Nanoseconds, monotonic.
        unsent_bytes: Memory that the outbox may take before the sequence stands still.

    Attributes:
        num_prompt: Tokens of the prompt, once it was submitted.
        num_tokens: Tokens that came so far.
        first_ns: When the first of them came; None before.
        last_ns: When the last of them came.
        finished: How the sequence ended, once it has.
        num_logprobs: Log-probabilities that came so far, alternatives counted.
        error: What ended it, if an error did.
        prompt_logprobs: Those of the prompt's tokens but the first, where they were asked for; there before any output.
    """

    def __init__(
        self,
        index: int,
        worker: EngineWorker,
        text: TextStream,
        logprobs: ContentLogprobs,
        changed: Callable[[], None],
        now_ns: Callable[[], int],
        unsent_bytes: int,
    ) -> None:
        self.index = index
        self.num_prompt = 0
        self.num_tokens = 0
        self.first_ns: int | None = None
        self.last_ns = 0
        self.num_logprobs = 0
        self._num_taken = 0
        self.finished: Finished | None = None
        self.error: ApiError | None = None
        self.prompt_logprobs: tuple[TokenLogprobs, ...] = ()
        self._worker = worker
        self._text = text
        self._logprobs = logprobs
        self._changed = changed
        self._now_ns = now_ns
        self._sequence: SequenceId | None = None
        self._outbox: list[Output] = []
        self._most_unsent = unsent_bytes
        self._num_unsent = 0
        self._paused = False
        self._cancelled = False

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.finished is not None or self.error is not None

    @property
    def num_reasoning_tokens(self) -> int:
        """How many of the tokens were reasoning."""
        return self._text.num_reasoning_tokens

    @property
    def num_cached(self) -> int:
        """How many of the prompt's tokens were not computed again; known from the first token on."""
        if self.finished is not None:
            return self.finished.num_cached_tokens
        return 0 if self._sequence is None else self._worker.num_cached(self._sequence)

    def submit(self, prompt_ids: Sequence[int], params: SamplingParams) -> None:
        """Hand the sequence to the engine.

        Raises:
            ApiError: The engine does not take it: too long, queue full, not available.
        """
        self._sequence = self._worker.submit(prompt_ids, params, self)
        self.num_prompt = len(prompt_ids)

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self._cancelled = True
        self._abort()

    @property
    def num_parts(self) -> int:
        """Tokens and log-probabilities that came so far: the work that it is to word them."""
        return self.num_tokens + self.num_logprobs

    @property
    def num_new_parts(self) -> int:
        """Those that were not taken yet."""
        return self.num_parts - self._num_taken

    def take(self) -> list[Output]:
        """What came since the last time; neighbours of a kind are joined."""
        outbox, self._outbox = self._outbox, []
        self._num_taken = self.num_parts
        self._num_unsent = 0
        self._go_on()
        return outbox if len(outbox) < 2 else joined(outbox)

    def on_tokens(self, tokens: Sequence[SampledToken]) -> None:
        """The engine has sampled these."""
        self.last_ns = self._now_ns()
        self.first_ns = self.last_ns if self.first_ns is None else self.first_ns
        with self._failing_loudly():
            for token in tokens:
                if self._cancelled or self._text.stopped or self.error is not None:
                    return
                self._push(token)
        if self._text.stopped:
            self._abort()
        elif self._num_unsent > self._most_unsent and not self._paused:
            self._stand_still()
        if self._outbox:
            self._changed()

    def on_finish(self, result: Finished) -> None:
        """The engine has ended the sequence."""
        if self.error is not None:
            return
        with self._failing_loudly():
            self._end(result)

    def on_error(self, error: ApiError) -> None:
        """The engine has failed this sequence."""
        self.error = error
        self._changed()

    @contextmanager
    def _failing_loudly(self) -> Iterator[None]:
        """The engine logs what a sink raises and forgets the sink: the client has to be told here."""
        try:
            yield
        except Exception:
            self.on_error(InternalError("The text of this answer could not be made."))
            raise

    def _end(self, result: Finished) -> None:
        if result.reason is FinishReason.ABORTED and not self._text.stopped and not self._cancelled:
            self.on_error(Unavailable("The server ended this answer because it is shutting down."))
            return
        self._put(self._text.finish())
        self.finished = result
        self._outbox.append(Ended(self.index, self._finish_reason(result), self._text.stop_string))
        self._changed()

    def _push(self, token: SampledToken) -> None:
        self.num_tokens += 1
        self._count_logprobs(token)
        num_reasoning = self._text.num_reasoning_tokens
        events = self._text.push(token.token_id)
        if self._text.num_reasoning_tokens == num_reasoning:
            self._logprobs.hold(token)
        self._put(events)

    def _count_logprobs(self, token: SampledToken) -> None:
        if token.prompt_logprobs:
            self.prompt_logprobs = token.prompt_logprobs
            self.num_logprobs += sum(1 + len(logprobs.top) for logprobs in token.prompt_logprobs)
        if token.logprobs is not None:
            self.num_logprobs += 1 + len(token.logprobs.top)

    def _put(self, events: Sequence[TextEvent]) -> None:
        for event in events:
            if isinstance(event, ContentDelta):
                stopped = self._text.stopped
                released = self._logprobs.release_up_to(event.text) if stopped else self._logprobs.release()
                self._outbox.append(Piece(self.index, event, released))
                self._num_unsent += sum(_LOGPROB_BYTES * (1 + len(entry.top)) for entry in released)
            else:
                self._logprobs.drop()
                self._outbox.append(Piece(self.index, event))
            self._num_unsent += _PIECE_BYTES

    def _finish_reason(self, result: Finished) -> AnswerEnd:
        if result.reason is FinishReason.LENGTH and not self._text.stopped:
            return "length"
        return "tool_calls" if self._text.num_tool_calls else "stop"

    def _stand_still(self) -> None:
        """Nobody reads what has come: let others have the row."""
        if self._sequence is None:
            return
        self._paused = self._worker.pause(self._sequence)
        if not self._paused and self._num_unsent > _FAR_BEYOND * self._most_unsent:
            self._abort()
            self.on_error(Unavailable("The client did not read its answer, so it was ended.", code="not_read"))

    def _go_on(self) -> None:
        if self._paused and self._sequence is not None:
            self._paused = False
            self._worker.resume(self._sequence)

    def _abort(self) -> None:
        if self._sequence is not None and not self.done:
            self._worker.abort(self._sequence, is_enough=self._text.stopped)


class Generation:
    """All choices of one request, as an asynchronous iterator of batches of output, in the order of arrival.

    It must be closed, whether it was iterated or not: `aclose` gives back what the engine still computes for it.

    Args:
        worker: The engine.
        texts: One text stream for each choice.
        new_logprobs: Makes a place where a choice's log-probabilities wait.
        now_ns: Nanoseconds, monotonic.
        unsent_bytes: Memory that what a client has not taken may take, of each answer.

    Attributes:
        choices: The answers.
        batch_is_long: Whether it takes more than a few milliseconds to word the last batch.
    """

    def __init__(
        self,
        worker: EngineWorker,
        texts: Sequence[TextStream],
        new_logprobs: Callable[[], ContentLogprobs],
        now_ns: Callable[[], int] = time.perf_counter_ns,
        unsent_bytes: int = DEFAULT_UNSENT_BYTES,
    ) -> None:
        self._changed = asyncio.Event()
        self._begun_ns = now_ns()
        self.choices = [
            Choice(index, worker, text, new_logprobs(), self._changed.set, now_ns, unsent_bytes)
            for index, text in enumerate(texts)
        ]
        self._first_choices: list[Choice] = []
        self.batch_is_long = False

    def submit(self, prompt_ids: Sequence[int], params: Sequence[SamplingParams]) -> None:
        """Hand all choices to the engine, or none.

        Raises:
            ApiError: The engine does not take one of them.
        """
        self.submit_all([(prompt_ids, params)])

    def submit_all(self, prompts: Iterable[tuple[Sequence[int], Sequence[SamplingParams]]]) -> None:
        """The same for several prompts: of each its token ids, and the parameters of its choices.

        Raises:
            ApiError: The engine does not take one of them.
        """
        choices = iter(self.choices)
        try:
            for prompt_ids, params in prompts:
                of_prompt = list(itertools.islice(choices, len(params)))
                self._first_choices += of_prompt[:1]
                for choice, choice_params in zip(of_prompt, params, strict=True):
                    choice.submit(prompt_ids, choice_params)
        except ApiError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Abort what is still running. Idempotent."""
        for choice in self.choices:
            choice.cancel()

    async def aclose(self) -> None:
        """The same as `cancel`, as iterators have it."""
        self.cancel()

    def __aiter__(self) -> "Generation":
        return self

    async def __anext__(self) -> list[Output]:
        """The next batch, never empty.

        Raises:
            ApiError: The engine failed; the other choices are aborted.
        """
        while True:
            self.batch_is_long = sum(choice.num_new_parts for choice in self.choices) > _FEW_PARTS
            batch = [output for choice in self.choices for output in choice.take()]
            if batch:
                return batch
            self._raise_error()
            if all(choice.done for choice in self.choices):
                raise StopAsyncIteration
            await self._changed.wait()
            self._changed.clear()

    @property
    def is_long(self) -> bool:
        """Whether it takes more than a few milliseconds to word all that came."""
        return sum(choice.num_parts for choice in self.choices) > _FEW_PARTS

    def _raise_error(self) -> None:
        for choice in self.choices:
            if choice.error is not None:
                self.cancel()
                raise choice.error

    @property
    def usage(self) -> Usage:
        """Tokens of all choices so far; a prompt counts once."""
        return Usage(
            prompt=sum(choice.num_prompt for choice in self._first_choices),
            completion=sum(choice.num_tokens for choice in self.choices),
            cached=sum(choice.num_cached for choice in self._first_choices),
            reasoning=sum(choice.num_reasoning_tokens for choice in self.choices),
        )

    @property
    def timings(self) -> Timings:
        """What it has taken so far, from the first choice's first token to the last one's last."""
        firsts = [choice.first_ns for choice in self.choices if choice.first_ns is not None]
        if not firsts:
            return Timings(0, 0)
        first = min(firsts)
        return Timings(first - self._begun_ns, max(choice.last_ns for choice in self.choices) - first)
