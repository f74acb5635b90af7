"""For chats in the terminal: a screen that remembers, a person who types by script, a chat over a scripted model."""

import asyncio
import io
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from support.scripted_model import TEMPLATE, Reply, ScriptedRunner, start_worker, write_model_folder

from obeaver.api.chat.request import parse_chat_request
from obeaver.api.core.conversation import Reasoning
from obeaver.api.core.messages import plain_messages
from obeaver.api.models.loaded_model import LoadedModel
from obeaver.cli.chat.chat import Chat
from obeaver.cli.chat.transcript import Transcript
from obeaver.cli.terminal import Terminal
from obeaver.models.facts import read_facts
from obeaver.text.chat_template import ChatTemplate
from obeaver.text.tokenizer import Tokenizer


class Screen(io.StringIO):
    """A stream that claims to be a screen, or not."""

    def __init__(self, *, is_screen: bool = True) -> None:
        super().__init__()
        self._is_screen = is_screen

    def isatty(self) -> bool:
        return self._is_screen


class Typed:
    """Lines that a person types; an exception stands for a key that is no text. At the end comes Ctrl-D.

    Args:
        lines: What is typed.
    """

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self._lines = iter(lines)
        self.prompts: list[str] = []

    def read(self, prompt: str) -> str:
        """See `obeaver.cli.chat.lines.Lines`."""
        self.prompts.append(prompt)
        line = next(self._lines, EOFError)
        if isinstance(line, str):
            return line
        raise line


@dataclass(slots=True)
class Talk:
    """A chat under test, and what it is made of.

    Attributes:
        prompts: The rendered prompt of each request that reached the model.
    """

    chat: Chat
    runner: asyncio.Runner
    model: LoadedModel
    transcript: Transcript
    out: Screen
    err: Screen
    prompts: list[str]

    def type(self, *lines: str | type[BaseException]) -> Typed:
        """Let a person type these lines, then Ctrl-D."""
        typed = Typed(*lines)
        self.chat.converse(typed)
        return typed

    @property
    def said(self) -> list[tuple[str, str]]:
        """The conversation as (role, content)."""
        return [(message["role"], message["content"]) for message in plain_messages(self.transcript.all_messages())]


StartTalk: TypeAlias = Callable[..., Talk]


def start_talk(
    runner: asyncio.Runner,
    folder: Path,
    reply: Reply,
    *,
    out: Screen | None = None,
    err: Screen | None = None,
    template: str = TEMPLATE,
    fails: Callable[[int], bool] = lambda num_runs: False,
    sampling: dict[str, Any] | None = None,
    timings: bool = False,
) -> Talk:
    """A chat with a model that answers as the test says; greedy, no colours, a clock that ticks once a look.

    Args:
        runner: Of the event loop.
        folder: For the model's files.
        reply: What it answers.
        out: The screen for answers.
        err: The screen for all else.
        template: Its chat template.
        fails: See `ScriptedRunner`.
        sampling: Parameters of each request.
        timings: See `Chat`.
    """
    prompts: list[str] = []

    def noted(prompt: str) -> Iterable[int] | None:
        prompts.append(prompt)
        return reply(prompt)

    model = runner.run(_load(folder, template, ScriptedRunner(noted, fails=fails)))
    out, err, transcript = out or Screen(), err or Screen(), Transcript()
    given = {"temperature": 0, **(sampling or {}), "messages": [{"role": "user", "content": "?"}]}
    ticks = itertools.count(0.0)
    chat = Chat(
        runner,
        model,
        transcript,
        parse_chat_request(given).sampling,
        Reasoning(),
        Terminal(out, err, {"NO_COLOR": "1"}),
        timings=timings,
        clock=lambda: next(ticks),
    )
    return Talk(chat, runner, model, transcript, out, err, prompts)


async def _load(folder: Path, template: str, runner: ScriptedRunner) -> LoadedModel:
    write_model_folder(folder, template)
    facts, tokenizer = read_facts(folder), Tokenizer.from_folder(folder)
    return LoadedModel(
        name="scripted",
        facts=facts,
        tokenizer=tokenizer,
        chat_template=ChatTemplate(
            template, special_tokens=facts.special_tokens, control_tokens=tokenizer.control_tokens
        ),
        worker=await start_worker(runner),
        loaded_at=0.0,
    )
