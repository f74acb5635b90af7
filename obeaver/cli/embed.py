"""`obeaver embed`: vectors of texts from the command line, from lines, or typed one by one; without a server."""

import argparse
import asyncio
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from obeaver.cli.stored import encoder_model
from obeaver.config import DEFAULT_EMBEDDING_MODEL, Settings, load_settings
from obeaver.errors import ApiError, CommandError
from obeaver.utf8 import NotUtf8, given_text, utf8_text

if TYPE_CHECKING:
    from obeaver.api.encoders.state import LoadedEncoder
    from obeaver.models.store import Store, StoredModel

_LINES_AT_ONCE: Final = 1024
_SHOWN: Final = 4


class Asked(NamedTuple):
    """What the words mean: a model, None for the default one, and texts."""

    model: str | None
    texts: Sequence[str]


class Embedder:
    """A loaded model and what is asked of it.

    Args:
        runner: Runs the engine's event loop.
        model: The model.
        parameters: Of each request, beside its input.
    """

    def __init__(self, runner: asyncio.Runner, model: "LoadedEncoder", parameters: dict[str, Any]) -> None:
        self._runner = runner
        self._model = model
        self._parameters = parameters

    def answer(self, texts: Sequence[str]) -> dict[str, Any]:
        """What the server would answer.

        Raises:
            CommandError: A text or a parameter cannot be honoured.
        """
        from obeaver.api.encoders.embeddings import embeddings_answer, parse_embeddings, read_embeddings
        from obeaver.api.encoders.endpoint import Encoded

        try:
            asked = parse_embeddings({"input": list(texts), **self._parameters})
            inputs = read_embeddings(self._model, asked)
            rows = self._runner.run(self._model.worker.compute(inputs.texts))
        except ApiError as error:
            raise CommandError(error.message) from None
        return embeddings_answer(Encoded(asked, self._model, inputs, rows))

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        return [item["embedding"] for item in self.answer(texts)["data"]]


def run_embed(arguments: argparse.Namespace) -> int:
    """Print or write the vectors of some texts.

    Raises:
        CommandError: Wrong settings, no model, a text that cannot be honoured.
    """
    from obeaver.engine.sessions.providers import choose_provider
    from obeaver.models.store import Store

    settings = load_settings(vars(arguments), os.environ)
    choose_provider(settings.provider)
    store = Store(settings.home)
    asked = split_words([_given(word) for word in arguments.words], store)
    stored = encoder_model(asked.model or DEFAULT_EMBEDDING_MODEL, settings, store, arguments.weights)
    parameters = {name: getattr(arguments, name) for name in ("dimensions", "prompt_name", "truncate")}
    with store.use(stored), asyncio.Runner() as runner, _loaded(runner, stored, settings) as model:
        embedder = Embedder(runner, model, parameters)
        if not asked.texts and sys.stdin.isatty():
            converse(embedder)
        else:
            _write(embedder, asked.texts or _lines(), arguments)
    return 0


def _given(word: str) -> str:
    try:
        return given_text(word)
    except NotUtf8 as error:
        raise CommandError(f"a text {error}") from None


def split_words(words: Sequence[str], store: "Store") -> Asked:
    """Tell the model from the texts: the first word is the model where it is the name or the folder of one."""
    from obeaver.models.catalog import load_catalog
    from obeaver.models.places import OLLAMA
    from obeaver.models.sources.address import is_address

    if not words:
        return Asked(None, ())
    known = {*load_catalog(), *(model.name for model in store.list())}
    first = words[0].lower()
    if first in known or first.startswith(OLLAMA) or is_address(first) or _is_path(words[0]):
        return Asked(words[0], words[1:])
    return Asked(None, words)


def _is_path(word: str) -> bool:
    """Whether a word means a place and not a text: it is one, and is written as one or holds a model."""
    from obeaver.models.encoder.layout import is_encoder_folder

    try:
        path = Path(word).expanduser()
        written = any(mark in word for mark in "/\\") or path.suffix.lower() == ".gguf"
        return is_encoder_folder(path) or (written and path.exists())
    except (OSError, RuntimeError):  # a text that is too long for a name; `~nobody`
        return False


def converse(embedder: Embedder) -> None:
    """Show the vector of each typed line, and how near it is to the one before."""
    before: list[float] | None = None
    while True:
        try:
            text = given_text(input("text> ")).strip()
        except EOFError:
            print()
            return
        except (NotUtf8, UnicodeDecodeError):
            print("obeaver: the line is not UTF-8 text", file=sys.stderr)
            continue
        if not text:
            continue
        try:
            (vector,) = embedder.vectors([text])
        except CommandError as error:
            print(f"obeaver: {error}", file=sys.stderr)
            continue
        print(described(vector, before))
        before = vector


def described(vector: Sequence[float], before: Sequence[float] | None) -> str:
    """A vector for people: its size, its first numbers, and its cosine to the one before."""
    numbers = " ".join(f"{number:+.4f}" for number in vector[:_SHOWN])
    text = f"{len(vector)} dimensions: {numbers} …"
    if before is None:
        return text
    cosine = sum(a * b for a, b in zip(vector, before, strict=True))
    return f"{text}  cosine to the text before: {cosine:.4f}"


def _write(embedder: Embedder, texts: Iterable[str], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(embedder.answer(list(texts))))
        return
    chunks = (embedder.vectors(chunk) for chunk in _chunks(texts))
    if arguments.npy:
        _save(Path(arguments.npy), itertools.chain.from_iterable(chunks))
        return
    for vectors in chunks:
        for vector in vectors:
            print(json.dumps(vector))


def _save(path: Path, vectors: Iterable[list[float]]) -> None:
    import numpy as np

    try:
        with path.open("wb") as file:
            np.save(file, np.array([np.array(vector, np.float32) for vector in vectors]))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while chunk := list(itertools.islice(remaining, _LINES_AT_ONCE)):
        yield chunk


def _lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = utf8_text(line, first_line=number).rstrip("\r\n")
        except NotUtf8 as error:
            raise CommandError(f"standard input {error}") from None
        if not text:
            raise CommandError(f"line {number} of standard input is empty, and an empty text has no vector")
        yield text


@contextmanager
def _loaded(runner: asyncio.Runner, stored: "StoredModel", settings: Settings) -> Iterator["LoadedEncoder"]:
    from obeaver.app.embed import encoder_facts, load_encoder

    model = runner.run(load_encoder(stored, encoder_facts(stored), settings))
    try:
        yield model
    finally:
        runner.run(model.worker.close())
