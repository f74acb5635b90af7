"""What a dialect is: how the models of a family begin calls, how they are read, and how they are written for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from obeaver.text.tool_calls.arguments import ArgumentStyle, JsonArguments
from obeaver.text.tool_calls.chars import CallOutput, Chars, Reading

INDEX: Final = "{index}"
"""Stands in a format where calls of one answer are counted, from 0."""

CALL_ID: Final = "{call-id}"
"""Stands in a format where a call has an id of ten small letters and digits, which nobody reads."""

_JSON: Final = JsonArguments()


@dataclass(frozen=True, slots=True)
class Form:
    """One way to begin a block of calls.

    Attributes:
        opener: The text that begins it.
        read: The grammar of what follows.
        closers: Markers that may end it.
        line_start: It counts at the beginning of a line only.
        opener_is_body: The opening text is read by the grammar as well.
    """

    opener: str
    read: Callable[[Chars, CallOutput], Reading[None]]
    closers: tuple[str, ...] = ()
    line_start: bool = False
    opener_is_body: bool = False


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How calls are written, as pieces of text to be put together; `write` shows how.

    Attributes:
        call_begin: Stands in front of a function's name; may hold `INDEX` or `CALL_ID`.
        after_name: Stands between the name and the arguments; likewise.
        call_end: Stands behind the arguments.
        list_begin: Stands once, in front of all calls.
        separator: Stands between two calls.
        list_end: Stands once, behind all calls.
        arguments: How the arguments are written.
    """

    call_begin: str
    after_name: str
    call_end: str
    list_begin: str = ""
    separator: str = "\n"
    list_end: str = ""
    arguments: ArgumentStyle = _JSON

    def write(self, calls: Iterable[tuple[str, str]]) -> str:
        """Write calls, each a function's name and the JSON text of its arguments."""
        written = (
            f"{self._numbered(self.call_begin, index)}{name}{self._numbered(self.after_name, index)}"
            f"{self.arguments.write(arguments)}{self.call_end}"
            for index, (name, arguments) in enumerate(calls)
        )
        return self.list_begin + self.separator.join(written) + self.list_end

    def _numbered(self, text: str, index: int) -> str:
        return text.replace(INDEX, str(index)).replace(CALL_ID, f"call{index:06}")


@dataclass(frozen=True, slots=True)
class Channels:
    """How a model marks what it writes, where all of it stands in messages of channels.

    Attributes:
        answer: Begins text for the user; "" where that is open unless something else was begun.
        between: Stands between two messages.
        end: Stands behind text for the user.
        frames: Texts that begin or end messages, where a message has nothing else to tell what it is.
        opened: What the prompt has written of the first of them.
    """

    answer: str
    between: str
    end: str = ""
    frames: tuple[str, ...] = ()
    opened: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return self.answer, self.between, self.end, *self.frames

    @property
    def has_headers(self) -> bool:
        """Whether messages have headers, which say in several words what they are."""
        return not self.frames


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the models of a family call functions.

    Attributes:
        name: What model facts call it.
        forms: The ways to begin a block, its own first.
        format: How a grammar or a prompt writes calls.
        markers: Texts whose control tokens must be given to the stream as text.
        channels: Of a model that writes in channels, whether it may call or not.
    """

    name: str
    forms: tuple[Form, ...]
    format: CallFormat
    markers: tuple[str, ...] = ()
    channels: Channels | None = None
