"""Where a terminal chat reads: typed lines with editing and a history, or the whole of a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TextIO

from obeaver.cli.terminal import Terminal
from obeaver.errors import CommandError
from obeaver.utf8 import NotUtf8, given_text, utf8_text

HISTORY_FILE: Final = "run_history"
_MAX_HISTORY: Final = 2000
_PRIVATE: Final = 0o600


class Lines(Protocol):
    """A person who types."""

    def read(self, prompt: str) -> str:
        """The next line, without its end.

        Raises:
            EOFError: There is none.
            CommandError: It is not text.
            KeyboardInterrupt: Ctrl-C.
        """
        ...


class EditedLines:
    """Python's own `input`, which edits lines where the readline module is loaded; it needs a screen."""

    def read(self, prompt: str) -> str:
        """See `Lines.read`."""
        try:
            return given(input(prompt), "the line")
        except UnicodeDecodeError:
            raise CommandError("the line is not UTF-8 text") from None


class PlainLines:
    """Lines of a stream, with prompts where they do not mix with answers."""

    def __init__(self, stream: TextIO, terminal: Terminal) -> None:
        self._stream, self._terminal = stream, terminal

    def read(self, prompt: str) -> str:
        """See `Lines.read`."""
        self._terminal.ask(prompt)
        try:
            line = self._stream.readline()
        except UnicodeDecodeError:
            raise CommandError("the line is not UTF-8 text") from None
        if not line:
            raise EOFError
        return given(line.removesuffix("\n"), "the line")


@contextmanager
def typed_lines(terminal: Terminal, home: Path) -> Iterator[Lines]:
    """Lines from standard input.

    Args:
        terminal: Shows prompts where answers do not go to a screen.
        home: Folder of the history.
    """
    if not terminal.is_screen:
        yield PlainLines(sys.stdin, terminal)
        return
    with _history(home / HISTORY_FILE):
        yield EditedLines()


@contextmanager
def _history(path: Path) -> Iterator[None]:
    """Line editing with the history in a file that only its owner can read; a file that cannot be used is no matter."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    # Pasted lines are one message. Python switches this off for its own prompt; libedit does not know it.
    readline.parse_and_bind("set enable-bracketed-paste on")
    readline.set_history_length(_MAX_HISTORY)
    with suppress(OSError):
        _make_private(path)
        readline.read_history_file(path)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(path)
            _make_private(path)


def _make_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, _PRIVATE))
    path.chmod(_PRIVATE)


def piped_text(stream: TextIO) -> str:
    """All of a pipe.

    Raises:
        CommandError: It is not text.
    """
    try:
        return utf8_text(stream.buffer.read()).strip()
    except NotUtf8 as error:
        raise CommandError(f"standard input {error}") from None


def given(text: str, name: str) -> str:
    """A text from the command line or the keyboard.

    Raises:
        CommandError: It is not text; calls it by its name.
    """
    try:
        return given_text(text)
    except NotUtf8 as error:
        raise CommandError(f"{name} {error}") from None
