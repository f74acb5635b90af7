"""A chat in the terminal: asks, shows, remembers; the engine in this very process."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from obeaver.api.core.conversation import Conversation, Reasoning
from obeaver.api.core.sampling import Sampling
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.cli.chat.commands import Commands
from obeaver.cli.chat.composer import Command, Composer, Entry
from obeaver.cli.chat.lines import Lines
from obeaver.cli.chat.transcript import Transcript
from obeaver.cli.chat.turn import Answered, Turn
from obeaver.cli.terminal import Terminal
from obeaver.errors import ApiError, CommandError, ContextLengthExceeded, Unavailable

PROMPT: Final = ">>> "
MORE: Final = "... "
_ENOUGH_STOPS: Final = 3
"""One more Ctrl-C than an impatient person's double: an answer that does not stop then takes the program with it."""


class Chat:
    """One conversation with one model.

    Args:
        runner: Runs the event loop that the model was loaded in.
        model: Answers.
        transcript: What was said so far.
        sampling: How it answers.
        reasoning: How much it thinks before.
        terminal: Where answers and notes go.
        timings: Tell after each answer what it took.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        runner: asyncio.Runner,
        model: LoadedModel,
        transcript: Transcript,
        sampling: Sampling,
        reasoning: Reasoning,
        terminal: Terminal,
        *,
        timings: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner, self._model, self._terminal = runner, model, terminal
        self._transcript, self._sampling, self._reasoning = transcript, sampling, reasoning
        self._timings, self._clock = timings, clock

    def ask_once(self, question: str) -> None:
        """Answer one question, and be done.

        Raises:
            CommandError: It cannot be answered; says why.
            KeyboardInterrupt: It was stopped.
        """
        try:
            answered = self._ask(question)
        except ContextLengthExceeded as error:
            raise CommandError(f"{error} Ask with less text, or a model with a longer context.") from None
        except ApiError as error:
            raise CommandError(str(error)) from None
        if answered.cut:
            self._terminal.note(f"obeaver: {_why_cut(answered)}")
        if answered.stopped:
            raise KeyboardInterrupt

    def converse(self, lines: Lines) -> None:
        """Talk until the person ends it.

        Raises:
            CommandError: The engine failed.
        """
        self._terminal.note(f"{self._model.name}: type a message; /help lists commands, Ctrl-D ends the chat")
        commands = Commands(self._transcript, self._model.name, self._terminal.note)
        entries = self._entries(lines)
        while not commands.ended and (entry := next(entries, None)) is not None:
            if not isinstance(entry, Command):
                self._reply(entry.text)
                continue
            try:
                commands.run(entry)
            except CommandError as error:
                self._terminal.note(f"error: {error}")

    def _entries(self, lines: Lines) -> Iterator[Entry]:
        """What the person types, until Ctrl-D or the second Ctrl-C in a row at the prompt."""
        composer, interrupted = Composer(), False
        while True:
            entry: Entry | None
            try:
                entry = composer.push(lines.read(MORE if composer.pending else PROMPT))
            except EOFError:
                self._terminal.note("")
                if not composer.pending:
                    return
                entry = composer.finish()
            except CommandError as error:
                self._terminal.note(f"error: {error}")
                continue
            except KeyboardInterrupt:
                self._terminal.note("")
                if interrupted:
                    return
                composer.clear()
                interrupted = True
                self._terminal.note("Ctrl-C again, Ctrl-D or /exit ends the chat")
                continue
            interrupted = False
            if entry is not None:
                yield entry

    def _reply(self, question: str) -> None:
        try:
            answered = self._ask(question)
        except ContextLengthExceeded as error:
            self._terminal.note(
                f"error: {error} The conversation is as it was, without this message: ask with less text, "
                "or /save it and /reset."
            )
        except Unavailable as error:  # the engine will not come back
            raise CommandError(str(error)) from None
        except ApiError as error:
            self._terminal.note(f"error: {error} The conversation is as it was, without this message.")
        else:
            self._keep(question, answered)

    def _keep(self, question: str, answered: Answered) -> None:
        if answered.content or not answered.stopped:
            self._transcript.keep(question, answered.content, answered.reasoning)
        if answered.stopped:
            self._terminal.note("(stopped)" if answered.content else "(stopped: the message is taken back)")
        if answered.cut:
            advice = "; /reset begins a new conversation, /save FILE keeps this one" if answered.context_full else ""
            self._terminal.note(f"({_why_cut(answered)}{advice})")

    def _ask(self, question: str) -> Answered:
        conversation = Conversation(messages=self._transcript.asking(question), reasoning=self._reasoning)
        turn = Turn(self._model, conversation, self._sampling, self._terminal, self._clock)
        with _stopping(turn):
            try:
                answered = self._runner.run(turn.run())
            finally:
                self._terminal.end_answer()
        if self._timings and answered.timings is not None:
            self._terminal.note(f"[{answered.timings}]")
        return answered


def _why_cut(answered: Answered) -> str:
    if answered.context_full:
        return "the answer was cut: the model's context is full"
    return "the answer was cut at its limit: --max-tokens allows more"


@contextmanager
def _stopping(turn: Turn) -> Iterator[None]:
    """Ctrl-C stops the answer, not the program."""

    def handle(*_: object) -> None:
        turn.stop()
        if turn.num_stops >= _ENOUGH_STOPS:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
