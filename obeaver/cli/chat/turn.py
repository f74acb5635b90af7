"""One question and its answer: the core without HTTP, and without any dialect of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from obeaver.api.core.conversation import Conversation
from obeaver.api.core.generation import Generation
from obeaver.api.core.job import prepare, start
from obeaver.api.core.outputs import Ended, Output
from obeaver.api.core.sampling import Sampling
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.text.events import ContentDelta, ReasoningDelta


class Display(Protocol):
    """Where an answer is shown while it is made."""

    def answer(self, text: str) -> None:
        """Its next piece."""
        ...

    def reasoning(self, text: str) -> None:
        """The next piece of the thoughts before it."""
        ...


@dataclass(frozen=True, slots=True)
class Timings:
    """What an answer took.

    Attributes:
        first_s: From the question to the first text; None if there was none.
        tokens_per_s: After the first text; None if nothing came then.
        num_prompt: Tokens that the model read, `num_cached` of them remembered.
        num_cached: Of an earlier answer.
        num_answer: Tokens that it wrote.
    """

    first_s: float | None
    tokens_per_s: float | None
    num_prompt: int
    num_cached: int
    num_answer: int

    def __str__(self) -> str:
        """One line for people."""
        first = "no text" if self.first_s is None else f"first text after {self.first_s:.2f} s"
        speed = "" if self.tokens_per_s is None else f", {self.tokens_per_s:.1f} tokens/s"
        cached = f" ({self.num_cached} cached)"
        return f"{first}{speed}, prompt {self.num_prompt} tokens{cached}, answer {self.num_answer} tokens"


@dataclass(frozen=True, slots=True)
class Answered:
    """How a turn went.

    Attributes:
        content: The answer.
        reasoning: The thoughts before it.
        stopped: The person stopped it.
        cut: It ended because of a limit.
        context_full: That limit is the model's context.
        timings: What it took; None if it was stopped before the engine had it.
    """

    content: str = ""
    reasoning: str = ""
    stopped: bool = False
    cut: bool = False
    context_full: bool = False
    timings: Timings | None = None


class Turn:
    """Asks once.

    Args:
        model: Answers.
        conversation: What it answers.
        sampling: How.
        display: Sees the answer grow.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        model: LoadedModel,
        conversation: Conversation,
        sampling: Sampling,
        display: Display,
        clock: Callable[[], float],
    ) -> None:
        self._model, self._display, self._clock = model, display, clock
        self._conversation, self._sampling = conversation, sampling
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation: Generation | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._first: tuple[float, int] | None = None
        self._length = False
        self._stopped = False
        self.num_stops = 0

    def stop(self) -> None:
        """End the answer where it stands. May be called from a signal handler."""
        self.num_stops += 1
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)

    async def run(self) -> Answered:
        """Ask, and show the answer until it ends or is stopped.

        Raises:
            ApiError: The request is wrong, the conversation too long, or the engine failed.
        """
        started_s = self._clock()
        self._loop = asyncio.get_running_loop()
        job = prepare(self._model, self._conversation, self._sampling)
        if self.num_stops:
            return Answered(stopped=True)
        self._generation = generation = start(job)
        try:
            async for batch in generation:
                self._show(batch, generation)
        finally:
            generation.cancel()
        return self._answered(self._timings(generation, started_s))

    def _cancel(self) -> None:
        if self._generation is None or all(choice.done for choice in self._generation.choices):
            return
        self._stopped = True
        self._generation.cancel()

    def _show(self, batch: list[Output], generation: Generation) -> None:
        for output in batch:
            if isinstance(output, Ended):
                self._length = output.finish_reason == "length"
                continue
            if self._first is None:
                self._first = self._clock(), generation.choices[0].num_tokens
            match output.event:
                case ContentDelta(text):
                    self._content.append(text)
                    self._display.answer(text)
                case ReasoningDelta(text):
                    self._reasoning.append(text)
                    self._display.reasoning(text)

    def _timings(self, generation: Generation, started_s: float) -> Timings:
        usage, speed = generation.usage, None
        if self._first is not None and usage.completion > self._first[1]:
            speed = (usage.completion - self._first[1]) / max(self._clock() - self._first[0], 1e-9)
        first_s = None if self._first is None else self._first[0] - started_s
        return Timings(first_s, speed, usage.prompt, usage.cached, usage.completion)

    def _answered(self, timings: Timings) -> Answered:
        cut = self._length and not self._stopped
        num_tokens = timings.num_prompt + timings.num_answer
        return Answered(
            content="".join(self._content),
            reasoning="".join(self._reasoning),
            stopped=self._stopped,
            cut=cut,
            context_full=cut and self._model.worker.room_for(num_tokens) <= 0,
            timings=timings,
        )
