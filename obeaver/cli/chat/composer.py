"""From typed lines to messages and commands. Pure: knows no terminal and no model.

A line is a message. One that ends with a backslash goes on in the next; three double quotes open a block of lines, and
three at the end of a line close it. A line that begins with a slash is a command.
"""

from typing import Final, NamedTuple, TypeAlias

QUOTES: Final = '"""'


class Message(NamedTuple):
    """Something for the model."""

    text: str


class Command(NamedTuple):
    """Something for the program: `/name argument`."""

    name: str
    argument: str


Entry: TypeAlias = Message | Command


class Composer:
    """Collects lines until they are a whole entry."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._in_block = False

    @property
    def pending(self) -> bool:
        """Whether lines wait for more of them."""
        return self._in_block or bool(self._lines)

    def push(self, line: str) -> Entry | None:
        """Take a line; the entry that it completes, None for a blank one or where more has to come."""
        if self._in_block:
            return self._block_line(line)
        if not self._lines and line.lstrip().startswith(QUOTES):
            self._in_block = True
            return self._block_line(line.lstrip().removeprefix(QUOTES))
        if not self._lines and line.startswith("/") and "\n" not in line:  # pasted lines come as one
            return _command(line)
        if _goes_on(line):
            self._lines.append(line[:-1])
            return None
        self._lines.append(line)
        return self.finish()

    def finish(self) -> Message | None:
        """Nothing more comes: what has been collected."""
        text = "\n".join(self._lines)
        self.clear()
        return Message(text) if text.strip() else None

    def clear(self) -> None:
        """Forget what has been collected."""
        self._lines = []
        self._in_block = False

    def _block_line(self, line: str) -> Message | None:
        closed = line.rstrip().endswith(QUOTES)
        line = line.rstrip().removesuffix(QUOTES) if closed else line
        # Lines of their own for the quotes add no blank lines to the text.
        if line.strip() or not (closed or not self._lines):
            self._lines.append(line)
        return self.finish() if closed else None


def _goes_on(line: str) -> bool:
    """An even number of backslashes is text, as in shells."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _command(line: str) -> Command:
    name, _, argument = line.strip().partition(" ")
    return Command(name, argument.strip())
