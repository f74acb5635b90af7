"""Where a terminal chat writes: answers to standard output, all else to standard error."""

import errno
import os
import unicodedata
from collections.abc import Mapping
from typing import Final, TextIO

from obeaver.errors import CommandError

_DIM: Final = "\x1b[2m"
_NOT_DIM: Final = "\x1b[22m"


class Terminal:
    """Two streams that may be one screen, files or pipes.

    Control characters of a model's text do not reach a screen: they could clear it, or type commands. A pipe gets the
    text as it is.

    Args:
        out: For answers, and nothing else.
        err: For notes, and on a screen for reasoning.
        environ: NO_COLOR and TERM of the process.
    """

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self._out, self._err = out, err
        self._colour = err.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._line_open = False
        self._thinking = False

    @property
    def is_screen(self) -> bool:
        """Whether a person sees the answers as they come."""
        return self._out.isatty()

    def answer(self, text: str) -> None:
        """Show the next piece of an answer.

        Raises:
            BrokenPipeError: Nobody reads on.
            CommandError: It cannot be written.
        """
        self._end_thoughts()
        self._line_open = not text.endswith("\n")
        _write(self._out, visible(text) if self._out.isatty() else text)

    def reasoning(self, text: str) -> None:
        """Show the next piece of a model's thoughts: on a screen alone, dimmed or below a heading."""
        if not self._err.isatty():
            return
        if not self._thinking and not self._colour:
            _write(self._err, "[thinking]\n")
        self._thinking = True
        _write(self._err, f"{_DIM}{visible(text)}{_NOT_DIM}" if self._colour else visible(text))

    def end_answer(self) -> None:
        """The answer is over: what follows begins on a line of its own."""
        self._end_thoughts()
        if self._line_open:
            _write(self._out, "\n")
        self._line_open = False

    def note(self, text: str) -> None:
        """Say something that is no answer, on lines of its own."""
        _write(self._err, f"{visible(text)}\n")

    def ask(self, prompt: str) -> None:
        """Show a prompt where the reader of lines shows none itself."""
        _write(self._err, prompt)

    def _end_thoughts(self) -> None:
        if self._thinking:
            _write(self._err, "\n\n")
        self._thinking = False


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        discard(stream)
        raise
    except OSError as error:
        discard(stream)
        if error.errno == errno.EINVAL:  # Windows' word for a pipe whose reader has left
            raise BrokenPipeError from None
        raise CommandError(f"the answer cannot be written: {error.strerror}") from None


def discard(stream: TextIO) -> None:
    """Let what the stream still holds go nowhere: the interpreter writes it out at its end, and would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def visible(text: str) -> str:
    """The text with control characters made visible, but for line ends and tabs."""
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def _visible(char: str) -> str:
    if char in "\n\t" or unicodedata.category(char) != "Cc":
        return char
    return "\N{REPLACEMENT CHARACTER}"
