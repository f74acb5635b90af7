"""Reading character by character without having the text yet: the words in which the grammars of calls are written.

A grammar is a generator that asks for the next character by yielding. So it reads like a parser over a whole string,
and can be left and resumed between any two characters.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias, TypeVar

from obeaver.text.hold_back import HoldBack, Patterns
from obeaver.text.tool_spec import ToolSpec

T = TypeVar("T")
Reading: TypeAlias = Generator[None, str, T]

_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT = 0xFFFD
_HEX = frozenset("0123456789abcdefABCDEF")


class Malformed(Exception):
    """The text is not what the grammar asks for, at the current character."""


class CallOutput(Protocol):
    """Where a grammar reports what it has understood."""

    def tool(self, name: str) -> ToolSpec | None:
        """The offered function of this name."""

    def call(self, name: str) -> None:
        """A call begins; it is announced and can never be taken back."""

    def arguments(self, text: str) -> None:
        """The next piece of the arguments' JSON text; what was read up to here has become part of it."""

    def supply(self, text: str) -> None:
        """A piece of the arguments that the model forgot to write."""

    def end_call(self) -> None:
        """The arguments are complete."""

    def settle(self) -> None:
        """Everything up to the current character is syntax of calls: it is no content."""

    def release(self) -> None:
        """Everything up to the current character, as far as it is not settled, is content."""


class Chars:
    """The characters of a text that is still being written.

    Attributes:
        char: The current character, not consumed yet; empty before the first.
    """

    def __init__(self) -> None:
        self.char = ""
        self._recorded: list[str] | None = None

    def next(self) -> Reading[None]:
        """Consume the current character."""
        if self._recorded is not None:
            self._recorded.append(self.char)
        self.char = yield

    @contextmanager
    def recording(self) -> Iterator[Sequence[str]]:
        """Collects the characters that are consumed meanwhile."""
        recorded: list[str] = []
        self._recorded = recorded
        try:
            yield recorded
        finally:
            self._recorded = None

    def skip_space(self) -> Reading[None]:
        """Go to the next character that is not white space."""
        while self.char.isspace():
            yield from self.next()

    def expect(self, text: str) -> Reading[None]:
        """Consume exactly this text."""
        for char in text:
            if self.char != char:
                raise Malformed
            yield from self.next()

    def accept(self, texts: tuple[str, ...], settle: Callable[[], None]) -> Reading[bool]:
        """Consume one of these texts if it stands here. If not, a beginning of one may have been consumed."""
        if not (yield from self.find(texts)):
            return False
        settle()
        yield from self.next()
        return True

    def find(self, texts: tuple[str, ...]) -> Reading[str]:
        """Consume one of these texts but for its last character; "" if none stands here.

        If none does, a beginning of one may have been consumed. None of them may begin another.
        """
        seen = ""
        while any(text.startswith(seen + self.char) for text in texts):
            seen += self.char
            if seen in texts:
                return seen
            yield from self.next()
        return ""

    def skip_past(self, text: str) -> Reading[str]:
        """Consume everything through this text; gives what stood in front of it."""
        passed: list[str] = []
        yield from self.through(Patterns([text]), passed.append)
        yield from self.next()
        return "".join(passed)

    def until(self, ends: str, forbidden: str) -> Reading[str]:
        """The text in front of the first character of `ends`; that one is not consumed."""
        text = ""
        while self.char not in ends:
            if self.char in forbidden:
                raise Malformed
            text += self.char
            yield from self.next()
        return text

    def through(self, patterns: Patterns, put: Callable[[str], None]) -> Reading[None]:
        """Give out the text in front of the first of the patterns; its last character is not yet consumed then.

        Where the text ends without one, all of it is given out.
        """
        hold_back = HoldBack(patterns)
        try:
            while not (passed := hold_back.feed(self.char)).found:
                put(passed.text)
                yield from self.next()
        except GeneratorExit:
            put(hold_back.flush())
            raise
        put(passed.text)

    def string(self, put: Callable[[str], None]) -> Reading[None]:
        """Give out a string without its escapes; the closing quote is not yet consumed then."""
        yield from self.expect('"')
        while self.char != '"':
            if self.char == "\\":
                yield from self.next()
                put((yield from self.escape()))
            else:
                put(self.char)
                yield from self.next()

    def whole_string(self) -> Reading[str]:
        """A string without its escapes."""
        pieces: list[str] = []
        yield from self.string(pieces.append)
        yield from self.next()
        return "".join(pieces)

    def escape(self) -> Reading[str]:
        """The character that an escape stands for; the current character is the one behind the backslash."""
        char = self.char
        yield from self.next()
        if char != "u":
            return _ESCAPES.get(char, char)
        return (yield from self._unicode_escape())

    def _unicode_escape(self) -> Reading[str]:
        code = yield from self._hex()
        replaced = ""
        # UTF-16 surrogates, RFC 8259 section 7: a high one and a low one are one character; one alone is none.
        while 0xD800 <= code < 0xDC00:
            if self.char != "\\":
                return replaced + chr(_REPLACEMENT)
            yield from self.next()
            if self.char != "u":
                return replaced + chr(_REPLACEMENT) + (yield from self.escape())
            yield from self.next()
            low = yield from self._hex()
            if 0xDC00 <= low < 0xE000:
                return replaced + chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            replaced += chr(_REPLACEMENT)
            code = low
        return replaced + chr(_REPLACEMENT if 0xDC00 <= code < 0xE000 else code)

    def _hex(self) -> Reading[int]:
        digits = ""
        while len(digits) < 4:
            if self.char not in _HEX:
                return _REPLACEMENT
            digits += self.char
            yield from self.next()
        return int(digits, 16)
