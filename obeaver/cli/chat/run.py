"""`obeaver run`: a chat in the terminal, or one answer in a pipe, without a server."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obeaver.cli.chat.lines import given, piped_text, typed_lines
from obeaver.cli.chat.sampling_flags import given_sampling
from obeaver.cli.chat.transcript import Transcript
from obeaver.cli.chat.words import Asked, split_words
from obeaver.cli.stored import better_than_default, chat_model
from obeaver.cli.terminal import Terminal
from obeaver.config import DEFAULT_MODEL, Settings, load_settings
from obeaver.errors import BadRequest, CommandError

if TYPE_CHECKING:
    from obeaver.api.core.conversation import Reasoning
    from obeaver.api.core.sampling import Sampling
    from obeaver.api.models.loaded_model import LoadedModel
    from obeaver.models.store import Store, StoredModel


def run_run(arguments: argparse.Namespace) -> int:
    """Chat, or answer one question from the command line or a pipe.

    Raises:
        CommandError: Wrong settings, no model, a question that cannot be answered.
        KeyboardInterrupt: The one answer was stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an old encoding must not end an answer
            stream.reconfigure(errors="replace")
    _run(arguments)
    return 0


def _run(arguments: argparse.Namespace) -> None:
    from obeaver.app.given_template import check_given_template
    from obeaver.engine.sessions.providers import choose_provider
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    choose_provider(settings.provider)
    sampling, reasoning = _parsed(given_sampling(arguments))
    transcript = Transcript(system=given(arguments.system or "", "--system"))
    store = Store(settings.home)
    check_given_template(settings, 1)
    asked = _asked(arguments.words, store)
    question = _question(asked.prompt)
    stored = chat_model(asked.model or DEFAULT_MODEL, settings, store)
    terminal = Terminal(sys.stdout, sys.stderr, os.environ)
    if not question:
        if asked.model is None:
            terminal.note(better_than_default("run"))
        terminal.note(f"loading {stored.name} …")
    with store.use(stored), asyncio.Runner() as runner, _loaded(runner, stored, settings) as model:
        from obeaver.cli.chat.chat import Chat

        chat = Chat(runner, model, transcript, sampling, reasoning, terminal, timings=arguments.timings)
        if question:
            chat.ask_once(question)
            return
        with typed_lines(terminal, settings.home) as lines:
            chat.converse(lines)


def _parsed(given: dict[str, Any]) -> "tuple[Sampling, Reasoning]":
    """The flags as values, before a model is fetched and loaded for them: they are parameters of a chat request."""
    from obeaver.api.chat.request import parse_chat_request

    try:
        request = parse_chat_request({**given, "messages": [{"role": "user", "content": "?"}]})
    except BadRequest as error:
        raise CommandError(str(error)) from None
    return request.sampling, request.conversation.reasoning


def _asked(words: list[str], store: "Store") -> Asked:
    from obeaver.models.catalog import load_catalog
    from obeaver.models.facts import is_model_folder
    from obeaver.models.sources.address import HUB

    def is_model_path(word: str) -> bool:
        if word.lower().startswith(HUB):  # other addresses may be what is asked about
            return True
        path = Path(word)
        try:
            path = path.expanduser()
            return path.is_file() if path.suffix.lower() == ".gguf" else is_model_folder(path)
        except (OSError, ValueError, RuntimeError):  # a long question is no path either
            return False

    known = {*load_catalog(), *(model.name for model in store.list())}
    return split_words(words, known=known, is_model_path=is_model_path)


def _question(prompt: str) -> str:
    """What is asked without a chat: the words, and below them what is piped in; "" when a person is there to type.

    Raises:
        CommandError: Nothing is asked and nobody is there.
    """
    prompt, stdin = given(prompt, "the question").strip(), sys.stdin
    if stdin is not None and stdin.isatty():
        return prompt
    question = "\n\n".join(filter(None, [prompt, piped_text(stdin) if stdin else ""]))
    if not question:
        raise CommandError("nothing is asked: standard input is empty")
    return question


@contextmanager
def _loaded(runner: asyncio.Runner, stored: "StoredModel", settings: Settings) -> Iterator["LoadedModel"]:
    from obeaver.app.chat_loader import load_model
    from obeaver.app.given_template import given_template

    model = runner.run(load_model(stored, settings, template=given_template(settings)))
    try:
        if model.chat_template is None:
            raise CommandError(
                f"{stored.name} has no chat template, so there is no chat with it: give --chat-template FILE, "
                "or let obeaver serve go on with texts (/v1/completions)"
            )
        yield model
    finally:
        runner.run(model.worker.close())
